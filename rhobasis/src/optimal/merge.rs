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
        let origins = paths.iter().map(|path| Covariance::origin(path)).collect::<Result<Vec<_>>>()?;
        for ((settings, ..), path) in origins.iter().zip(paths).skip(1) {
            if let Some((name, here, there)) = origins[0].0.difference(settings) {
                let problem = format!("made with {name} = {there}, but {} with {name} = {here}", first.display());
                return Err(Error::file(path, problem, "accumulate all parts with the same settings"));
            }
        }
        let part = |(path, (_, files, shard)): (_, (_, _, _))| Part { path, files, shard };
        let parts: Vec<Part> = paths.iter().map(PathBuf::as_path).zip(origins).map(part).collect();
        let (order, files) = union(&parts, ".cov", "fit --shard")?;
        let mut sum = Covariance::load(order[0])?;
        for path in &order[1..] {
            sum.merge(&Covariance::load(path)?)?;
        }
        sum.set_files(files, None);
        Ok(sum)
    }
}

/// What the file of a part says of its origin.
pub(crate) struct Part<'a> {
    pub path: &'a Path,
    pub files: Vec<SourceFile>,
    pub shard: Option<Shard>,
}

/// In which order the parts of a data set are put together, or those of different data, and of which files all is. Files of
/// parts have this `ending`, and `command` makes a shard.
///
/// # Errors
/// If shards are missing, repeated, or of different data, or the same data is in two parts.
pub(crate) fn union<'a>(parts: &[Part<'a>], ending: &str, command: &str) -> Result<(Vec<&'a Path>, Vec<SourceFile>)> {
    let sharded = parts.iter().any(|part| part.shard.is_some());
    let order = if sharded { shards(parts, ending, command)? } else { different(parts)? };
    let files = if sharded { frames_of_all(&order) } else { files_of_all(&order) };
    Ok((order.into_iter().map(|part| part.path).collect(), files))
}

/// Shards by index, if they are all those of one data set.
fn shards<'p, 'a>(parts: &'p [Part<'a>], ending: &str, command: &str) -> Result<Vec<&'p Part<'a>>> {
    let Some(first) = parts.iter().find(|part| part.shard.is_some()) else { return Ok(Vec::new()) };
    let of = first.shard.unwrap_or_default().of;
    let mut order: BTreeMap<usize, &Part> = BTreeMap::new();
    for part in parts {
        let apart = format!("merge the shards of one data set into a {ending} first, then that with the others");
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
        let remedy = format!("make {noun} {}{more} with {command}, and name it too", named.join(", "));
        return Err(Error::setting("missing", format!("{}{more}", named.join(" ")), problem, remedy));
    }
    Ok(order.into_values().collect())
}

/// Parts as given, if no data is in two of them.
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
