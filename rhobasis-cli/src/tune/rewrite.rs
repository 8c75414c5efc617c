//! The model file with other settings: everything else, comments included, stays as it was.

use std::path::Path;

use rhobasis::{Error, Result};
use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::point::{Functions, Point};

/// The text of `path` with the settings of `to` instead of `from`, what was changed being said behind it; `head` stands before
/// all. Paths are those of a file in another folder if `moved`.
pub fn rewritten(path: &Path, [from, to]: [&Point; 2], head: &str, moved: bool) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let unreadable = |problem: String| Error::file(path, problem, "see examples/model-silicon.toml");
    let mut file: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| unreadable(e.message().to_string()))?;
    let basis = file.get_mut("basis").and_then(section).ok_or_else(|| unreadable("[basis] is missing".into()))?;
    if from.r_cut != to.r_cut {
        set(basis, "r_cut", to.r_cut);
    }
    if let (true, Some(sigma)) = (from.sigma != to.sigma, to.sigma) {
        set(basis, "sigma", sigma);
    }
    if from.q_max != to.q_max {
        set(basis, "q_max", to.q_max as i64);
    }
    if from.l_max != to.l_max {
        set(basis, "l_max", to.l_max as i64);
    }
    if from.scaling != to.scaling {
        match &to.scaling {
            Some(u) => set(basis, "scaling", Array::from_iter([u.rate, u.scale, u.exponent])),
            None => drop(basis.remove("scaling")),
        }
    }
    if from.functions != to.functions {
        set_functions(basis, to.functions);
    }
    if moved {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(|e| Error::io(folder, e))?;
        for (section, key) in [("data", "train"), ("data", "test"), ("features", "columns")] {
            if let Some(item) = file.get_mut(section).and_then(|section| section.get_mut(key)) {
                move_paths(item, &folder);
            }
        }
    }
    Ok(format!("{head}\n{file}"))
}

/// A section, of which one is made where it stands in braces: there is no room for notes between these.
fn section(item: &mut Item) -> Option<&mut Table> {
    if let Some(braces) = item.as_inline_table_mut() {
        *item = Item::Table(std::mem::take(braces).into_table());
    }
    item.as_table_mut()
}

fn set_functions(basis: &mut Table, to: Functions) {
    set(basis, "method", if to.are_supervised() { "supervised" } else { "pca" });
    // Those of the kind of model, which are the default.
    for key in ["supervised", "span"] {
        basis.remove(key);
    }
    match to.are_weighted() {
        true => set(basis, "weighting", "nearest"),
        false => drop(basis.remove("weighting")),
    }
}

/// Another value, and behind it what was there; the same value stays as it is.
fn set(table: &mut Table, key: &str, value: impl Into<Value>) {
    let was = table.get(key).and_then(Item::as_value).map(|value| value.to_string().trim().to_string());
    let mut value: Value = value.into();
    if was.as_deref() == Some(value.to_string().trim()) {
        return;
    }
    let note = was.map_or("  # tuned; was not given".into(), |was| format!("  # tuned; was {was}"));
    value.decor_mut().set_prefix(" ");
    value.decor_mut().set_suffix(note);
    table.insert(key, Item::Value(value));
}

/// Relative to `folder`, one or several.
fn move_paths(item: &mut Item, folder: &Path) {
    let moved = |value: &mut Value| {
        if let Some(path) = value.as_str() {
            let decor = value.decor().clone();
            *value = folder.join(path).display().to_string().into();
            *value.decor_mut() = decor;
        }
    };
    match item.as_value_mut() {
        Some(Value::Array(list)) => list.iter_mut().for_each(moved),
        Some(value) => moved(value),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basis_in_braces_becomes_a_section_and_what_stays_the_same_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.toml");
        let text = "basis = { r_cut = 4.0, q_max = 2, method = \"supervised\" } # few\n[data]\ntrain = \"x.xyz\"\n";
        std::fs::write(&path, text).unwrap();
        let from =
            Point { r_cut: 4.0, sigma: None, l_max: 1, q_max: 2, scaling: None, functions: Functions::Supervised };
        let to = Point { r_cut: 4.5, functions: Functions::SupervisedAndWeighted, ..from.clone() };
        let written = rewritten(&path, [&from, &to], "# Tuned.", false).unwrap();
        let read: DocumentMut = written.parse().unwrap();
        assert_eq!(read["basis"]["r_cut"].as_float(), Some(4.5), "{written}");
        assert_eq!((read["basis"]["q_max"].as_integer(), read["data"]["train"].as_str()), (Some(2), Some("x.xyz")));
        assert!(written.contains("r_cut = 4.5  # tuned; was 4.0\n"), "{written}");
        assert!(written.contains("method = \"supervised\"\n"), "{written}");
    }
}
