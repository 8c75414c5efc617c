//! `rhobasis lammps`: what it prints, and what it says where LAMMPS is not.

mod common;

use common::{Place, bundled, says};

const MODEL: &str = "\
[data]
train = \"DATA\"
[basis]
r_cut = 4.0
sigma = 0.5
l_max = 2
q_max = 2
n_max = 6
[model]
type = \"ridge\"
";

fn trained(name: &str) -> Place {
    let place = Place::of(&[("m.toml", MODEL.replace("DATA", &bundled("silicon.xyz.xz@:6")))]);
    place.ok(&["train", "m.toml", "-o", name, "--no-plot"]);
    place
}

#[test]
fn the_lines_of_lammps_input_name_file_and_elements() {
    let place = trained("my silicon.rho");
    let said = place.ok(&["lammps", "my silicon.rho"]);
    let lines = [
        "units           metal\n",
        "newton          on\n",
        "r_cut is 4 Å\n",
        "pair_style      rhobasis\n",
        "pair_coeff      * * \"my silicon.rho\" Si\n",
        "mass            1 28.0",
    ];
    says(&said, &lines);
    place.refused(1, &["lammps", "none.rho"], &["none.rho"]);
    place.refused(1, &["lammps", "m.toml"], &["m.toml"]);
}

#[test]
fn where_the_plugin_is_not_it_says_how_to_have_it() {
    let place = Place::of(&[("in.si", "units metal\n")]);
    let refused = |python: &str, args: &[&str], parts: &[&str]| {
        place.fails(1, place.command(args).env("RHOBASIS_PYTHON", python), parts);
    };
    for args in [&["lammps", "run", "in.si"][..], &["lammps", "--build"]] {
        refused("no-such-python", args, &["python = no-such-python: cannot be started", "RHOBASIS_PYTHON"]);
        refused("false", args, &["python = false: has no package rhobasis-lammps; pip install rhobasis-lammps"]);
    }
}

#[test]
fn what_is_asked_for_is_handed_over() {
    let place = Place::of(&[("in.si", "units metal\n"), ("python", "#!/bin/sh\n[ $1 = -c ] || echo \"$@\"\n")]);
    let python = place.path("python");
    place.succeeds(std::process::Command::new("chmod").arg("+x").arg(&python));
    let said = |args: &[&str]| {
        let output = place.succeeds(place.command(args).env("RHOBASIS_PYTHON", &python));
        String::from_utf8(output.stdout).unwrap()
    };
    let run = said(&["lammps", "run", "in.si", "-n", "3", "--lmp", "my/lmp", "--", "-log", "none"]);
    assert_eq!(run, "-m rhobasis_lammps run --ranks 3 --lmp my/lmp in.si -- -log none\n");
    let build = said(&["lammps", "--build", "--lammps-headers", "src", "-o", "here"]);
    assert_eq!(build, "-m rhobasis_lammps build --lammps-headers src --output here\n");
    assert_eq!(said(&["lammps", "--build"]), "-m rhobasis_lammps build\n");
}

#[test]
fn what_does_not_go_together_is_wrong_usage() {
    let place = Place::new();
    for args in
        [&["lammps", "m.rho", "--build"][..], &["lammps", "m.rho", "--lmp", "lmp"], &["lammps", "run", "-n", "0", "in"]]
    {
        assert_eq!(place.run(args).status.code(), Some(2), "{args:?}");
    }
}
