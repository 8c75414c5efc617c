//! Labels that a frame keeps beside predictions of the same name.

use rhobasis::Structure;

/// What is put before the names of labels.
const REFERENCE: &str = "reference_";

/// Whether a frame has labels that were put aside.
pub fn has_references(structure: &Structure) -> bool {
    let mut names = structure.info.iter().map(|(key, _)| key).chain(structure.columns.iter().map(|c| &c.name));
    names.any(|name| name.starts_with(REFERENCE))
}

/// Renames what a frame has under names that are written, and removes what an earlier prediction has written there.
pub fn put_labels_aside(structure: &mut Structure, info: &[&str], columns: &[&str]) {
    // A frame that was predicted before has its labels aside already: what it says now is an older prediction.
    let again = |name: &str, structure: &Structure| {
        let aside = format!("{REFERENCE}{name}");
        structure.get(&aside).is_some() || structure.column(&aside).is_some()
    };
    let any_again = info.iter().chain(columns).any(|name| again(name, structure));
    let refer = |name: &mut String, written: &[&str]| match written.contains(&name.as_str()) {
        true if any_again || name == "energy_std" => false,
        true => {
            name.insert_str(0, REFERENCE);
            true
        }
        false => true,
    };
    structure.info.retain_mut(|(key, _)| refer(key, info));
    structure.columns.retain_mut(|column| refer(&mut column.name, columns));
}
