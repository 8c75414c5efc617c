//! Parts of a data set that were accumulated apart, and their union.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::covariance::Covariance;
use crate::extxyz::{Shard, SourceFile};
use crate::files::Stored;
use crate::{Error, Result};

impl Covariance {
    /// The union of accumulator files: all shards of one data set, in any order, or accumulators of different data, added in
    /// the order given. One accumulator is in memory besides the sum.
    ///
    /// # Errors
    /// If a file cannot be read, settings differ, shards are missing, repeated, or of different data, or the same data was
    /// accumulated in two of them.
    pub fn merge_files(paths: &[PathBuf]) -> Result<Self> {
        let Some(first) = paths.first() else {
            return Err(Error::setting("parts", 0, "there is nothing to merge", "name the accumulator files (*.cov)"));
        };
        let parts: Vec<Part> = paths.iter().map(|path| Part::of(path)).collect::<Result<_>>()?;
        for part in &parts[1..] {
            if let Some((name, here, there)) = parts[0].settings.difference(&part.settings) {
                let problem = format!("made with {name} = {there}, but {} with {name} = {here}", first.display());
                return Err(Error::file(part.path, problem, "accumulate all parts with the same settings"));
            }
        }
        let order = if parts.iter().any(|part| part.shard.is_some()) { shards(&parts)? } else { different(&parts)? };
        let mut sum = Covariance::load(order[0].path)?;
        for part in &order[1..] {
            sum.merge(&Covariance::load(part.path)?)?;
        }
        let sharded = order[0].shard.is_some();
        sum.set_files(if sharded { frames_of_all(&order) } else { files_of_all(&order) }, None);
        Ok(sum)
    }
}

/// What is known of an accumulator file before its sums are added.
struct Part<'a> {
    path: &'a Path,
    settings: super::CovarianceSettings,
    files: Vec<SourceFile>,
    shard: Option<Shard>,
}

impl<'a> Part<'a> {
    fn of(path: &'a Path) -> Result<Self> {
        let (settings, files, shard) = Covariance::origin(path)?;
        Ok(Part { path, settings, files, shard })
    }
}

/// Shards by index, if they are all those of one data set.
fn shards<'p, 'a>(parts: &'p [Part<'a>]) -> Result<Vec<&'p Part<'a>>> {
    let Some(first) = parts.iter().find(|part| part.shard.is_some()) else { return Ok(Vec::new()) };
    let of = first.shard.unwrap_or_default().of;
    let mut order: BTreeMap<usize, &Part> = BTreeMap::new();
    for part in parts {
        let apart = "merge the shards of one data set into a .cov first, then that with the others";
        let Some(shard) = part.shard else {
            let problem =
                format!("is no shard, but {} is shard {}", first.path.display(), first.shard.unwrap_or_default());
            return Err(Error::file(part.path, problem, apart));
        };
        if shard.of != of {
            let problem = format!("is shard {shard}, but {} is one of {of}", first.path.display());
            return Err(Error::file(part.path, problem, apart));
        }
        let same = part.files.len() == first.files.len()
            && part.files.iter().zip(&first.files).all(|(mine, theirs)| mine.same_data(theirs));
        if !same {
            let problem = format!("is a shard of {}, but {} of {}", names(part), first.path.display(), names(first));
            return Err(Error::file(part.path, problem, apart));
        }
        if let Some(earlier) = order.insert(shard.index, part) {
            let problem = format!("is shard {shard}, and so is {}", earlier.path.display());
            return Err(Error::file(part.path, problem, "leave one of them out: its frames would count twice"));
        }
    }
    if order.len() < of {
        let n = of - order.len();
        let named: Vec<String> =
            (1..=of).filter(|k| !order.contains_key(k)).take(10).map(|k| format!("{k}/{of}")).collect();
        let noun = if n == 1 { "shard" } else { "shards" };
        let more = if n > named.len() { format!(" and {} more", n - named.len()) } else { String::new() };
        let problem = format!("{} of {of} shards of {} are there", order.len(), names(first));
        let remedy = format!("make {noun} {}{more} with fit --shard, and name it too", named.join(", "));
        return Err(Error::setting("missing", format!("{}{more}", named.join(" ")), problem, remedy));
    }
    Ok(order.into_values().collect())
}

/// Accumulators as given, if no data is in two of them.
fn different<'p, 'a>(parts: &'p [Part<'a>]) -> Result<Vec<&'p Part<'a>>> {
    for (k, part) in parts.iter().enumerate() {
        for earlier in &parts[..k] {
            let twice = part.files.iter().find(|mine| earlier.files.iter().any(|theirs| mine.overlaps(theirs)));
            if let Some(file) = twice {
                let problem = format!("holds {}, and so does {}", file.path, earlier.path.display());
                return Err(Error::file(part.path, problem, "leave one of them out: its frames would count twice"));
            }
        }
    }
    Ok(parts.iter().collect())
}

/// Files of all shards, with the frames that these took of each.
fn frames_of_all(shards: &[&Part]) -> Vec<SourceFile> {
    let mut files = shards[0].files.clone();
    for shard in &shards[1..] {
        files.iter_mut().zip(&shard.files).for_each(|(sum, file)| sum.frames += file.frames);
    }
    files
}

fn files_of_all(parts: &[&Part]) -> Vec<SourceFile> {
    parts.iter().flat_map(|part| part.files.clone()).collect()
}

fn names(part: &Part) -> String {
    let names: Vec<String> =
        part.files.iter().map(|f| format!("{} (sha256 {}…)", f.path, f.sha256.get(..8).unwrap_or(""))).collect();
    names.join(", ")
}
