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
    let aside = |name: &&str| format!("{REFERENCE}{name}");
    let mut names = info.iter().chain(columns).map(aside);
    let again = names.any(|name| structure.get(&name).is_some() || structure.column(&name).is_some());
    let refer = |name: &mut String, written: &[&str]| match written.contains(&name.as_str()) {
        true if again || name == "energy_std" => false,
        true => {
            name.insert_str(0, REFERENCE);
            true
        }
        false => true,
    };
    structure.info.retain_mut(|(key, _)| refer(key, info));
    structure.columns.retain_mut(|column| refer(&mut column.name, columns));
}

#[cfg(test)]
mod tests {
    use rhobasis::structure::Value;

    use super::*;

    #[test]
    fn predictions_of_one_kind_leave_labels_of_another_alone() {
        let mut atom = Structure::molecule(vec![2], vec![[0.0; 3]]);
        for name in ["energy", "dipole"] {
            atom.info.push((name.into(), Value::Real(1.0)));
        }
        let names = |atom: &Structure| atom.info.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        put_labels_aside(&mut atom, &["dipole"], &["born_charges"]);
        assert_eq!(names(&atom), ["energy", "reference_dipole"]);
        atom.info.push(("dipole".into(), Value::Real(2.0)));
        put_labels_aside(&mut atom, &["energy"], &["forces"]); // a label yet, though dipoles were predicted
        assert_eq!(names(&atom), ["reference_energy", "reference_dipole", "dipole"]);
        put_labels_aside(&mut atom, &["dipole"], &["born_charges"]);
        assert_eq!(names(&atom), ["reference_energy", "reference_dipole"]);
    }
}
