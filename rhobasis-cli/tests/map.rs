//! `rhobasis map`: what is handed over to the Python package, and what is said where there is none.

mod common;

use common::{Place, molecules, said};

fn place() -> Place {
    let script = "#!/bin/sh\n[ $1 = -c ] || echo \"$RAYON_NUM_THREADS: $@\"\n";
    let place = Place::of(&[("a.xyz", molecules(12)), ("python", script.into())]);
    place.succeeds(std::process::Command::new("chmod").arg("+x").arg(place.path("python")));
    place.ok(&["fit", "a.xyz", "-o", "b.rho", "--r-cut", "4", "--n-max", "4", "--l-max", "1"]);
    place
}

#[cfg(unix)]
#[test]
fn what_is_asked_for_is_handed_over() {
    let place = place();
    let map = |args: &[&str]| {
        let mut command = place.command(&[&["map", "a.xyz"], args, &["-o", "m.html", "--threads", "3"]].concat());
        said(place.succeeds(command.env("RHOBASIS_PYTHON", place.path("python"))).stdout)
    };
    assert_eq!(
        map(&["b.xyz@:9", "--basis", "b.rho", "-q"]),
        "3: -m rhobasis._map --basis b.rho --output m.html --of atoms --kind power-spectrum --quiet -- a.xyz b.xyz@:9\n"
    );
    let all = [
        "--of",
        "frames",
        "--kind",
        "bispectrum",
        "--normalize",
        "--title=-a",
        "--energy-key",
        "e",
        "--force-key",
        "f",
    ];
    assert_eq!(
        map(&[&["--basis", "b.rho", "--potential", "p.rho"], &all[..]].concat()),
        "3: -m rhobasis._map --basis b.rho --potential p.rho --output m.html --of frames --kind bispectrum --title=-a \
         --energy-key=e --force-key=f --normalize -- a.xyz\n"
    );
}

#[test]
fn where_the_package_is_not_it_says_how_to_have_it() {
    let place = place();
    let map = ["map", "a.xyz", "--basis", "b.rho", "-o", "m.html"];
    let refused = |python: &str, problem: &str| {
        let parts = [problem, "pip install 'rhobasis[maps]'", "RHOBASIS_PYTHON"];
        place.fails(1, place.command(&map).env("RHOBASIS_PYTHON", python), &parts);
    };
    refused("no-such-python", "python = no-such-python: cannot be started");
    refused("false", "python = false: has no package rhobasis; the map is made by the Python package");
}

#[test]
fn what_cannot_be_is_refused_before() {
    let place = place().with("m.html", "<!DOCTYPE html>").with("notes.html", "to do");
    let map = ["map", "a.xyz", "--basis", "b.rho", "-o"];
    place.refused(1, &[&map[..], &["m.html"]].concat(), &["m.html: is there already", "--force"]);
    place.refused(1, &[&map[..], &["notes.html", "--force"]].concat(), &["notes.html: does not begin with"]);
    place.refused(2, &[&map[..], &["m.txt"]].concat(), &["m.txt", ".html"]);
    place.refused(2, &["map", "a.xyz", "-o", "m.html"], &["--basis"]);
    place.refused(2, &["map", "a.xyz", "--potential", "p.rho", "--normalize", "-o", "n.html"], &["--basis"]);
    place.refused(2, &[&map[..], &["n.html", "--force-key", ""]].concat(), &["--force-key: name a key"]);
}
