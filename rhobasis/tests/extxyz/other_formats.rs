//! Files of other formats, given by mistake: they are named, and the way out is told.

use std::io::Write;

use rhobasis::extxyz::{Options, read};
use rhobasis::files::{Archive, Format, Stored};
use rhobasis::optimal::OptimalBasis;
use rhobasis::potential::Potential;

use super::{TestFile, message, numbered};

/// A zip archive that begins with a file of this name.
fn zip(name: &str) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.resize(26, 0);
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(name.as_bytes());
    bytes
}

fn ours() -> Vec<u8> {
    let mut bytes = Vec::new();
    Archive::default().encode("basis", &mut bytes).unwrap();
    bytes
}

/// Name of a file, its beginning, what it is, and what is to be done where structures are wanted.
fn cases() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let poscar = "Si8\n1.0\n5.4 0 0\n0 5.4 0\n0 0 5.4\nSi\n8\nDirect\n0 0 0\n";
    let cif = "# made by hand\n\ndata_Si\n_cell_length_a 5.43\n";
    let lammps = "LAMMPS data file\n\n8 atoms\n1 atom types\n\n0 5.4 xlo xhi\n";
    let pdb = "CRYST1    5.430    5.430    5.430  90.00  90.00  90.00 P 1\nATOM      1   Si MOL     1\n";
    let gro = "water\n3\n    1WATER  OW1    1   0.126   1.624   1.679\n    1WATER  HW2    2   0.190   1.661   1.747\n";
    let xdatcar = "Si8\n1.0\n5.4 0 0\n0 5.4 0\n0 0 5.4\nSi\n8\nDirect configuration=     1\n";
    let mol = "\n  made by hand\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n";
    let in_python = "if it holds structures, read them in Python and write them with ase.io.write";
    let none = "it holds no structures: give an extended XYZ file";
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("md.traj", text("- of UlmASE-Trajectory\x01"), "an ASE trajectory (.traj)", "ase convert md.traj md.extxyz"),
        ("a.db", text("SQLite format 3\0"), "an SQLite database", "ase convert a.db a.extxyz"),
        ("POSCAR", text(poscar), "a POSCAR of VASP", "ase convert POSCAR poscar.extxyz"),
        ("start.vasp", text(poscar), "a POSCAR of VASP", "ase convert -i vasp start.vasp start.extxyz"),
        ("8", text(&poscar.replacen("Si8", "8", 1)), "a POSCAR of VASP", "ase convert -i vasp 8 8.extxyz"),
        ("XDATCAR", text(xdatcar), "an XDATCAR of VASP", "ase convert XDATCAR xdatcar.extxyz"),
        ("OUTCAR", text(" vasp.6.3.0 20Jan22\n executed on"), "an OUTCAR of VASP", "ase convert OUTCAR outcar.extxyz"),
        ("si.cif", text(cif), "a CIF", "ase convert si.cif si.extxyz"),
        ("data.lmp", text(lammps), "a LAMMPS data file", "ase convert -i lammps-data data.lmp data.extxyz"),
        ("dump.out", text("ITEM: TIMESTEP\n0\n"), "a LAMMPS dump", "ase convert dump.out dump.extxyz"),
        ("a b.pdb", text(pdb), "a PDB file", "ase convert 'a b.pdb' 'a b.extxyz'"),
        ("w.gro", text(gro), "a geometry of GROMACS (.gro)", "ase convert w.gro w.extxyz"),
        ("w.gen", text("3 C\n O H\n"), "a geometry of DFTB+ (.gen)", "ase convert w.gen w.extxyz"),
        ("w.sdf", text(mol), "a MOL or SDF file", "ase convert w.sdf w.extxyz"),
        ("a.json", text("{\"1\": {\n \"cell\": 1}}"), "a JSON file", "ase convert a.json a.extxyz"),
        ("list.json", text("[\n [1, 2]]"), "a JSON file", "ase convert list.json list.extxyz"),
        (
            "vasprun.xml",
            text("<?xml version=\"1.0\"?>\n<modeling>\n"),
            "an output of VASP (vasprun.xml)",
            "ase convert vasprun.xml vasprun.extxyz",
        ),
        ("qe.in", text("&CONTROL\n"), "an input of Quantum ESPRESSO", "ase convert -i espresso-in qe.in qe.extxyz"),
        (
            "geometry.in",
            text("#======\n# Geometry\natom 0 0 0 Si\n"),
            "a geometry of FHI-aims",
            "ase convert geometry.in geometry.extxyz",
        ),
        ("page.xyz", text("<!DOCTYPE html>\n<html>"), "a web page", "download the file itself"),
        ("lfs.xyz", text("version https://git-lfs.github.com/spec/v1\n"), "a pointer of Git LFS", "git lfs pull"),
        ("utf16.xyz", b"\xff\xfe3\0\n\0".to_vec(), "text in UTF-16", "save it as UTF-8"),
        ("model.toml", text("# a model\n[data]\ntrain = \"a\"\n"), "a TOML file", none),
        ("x.npy", b"\x93NUMPY\x01\0v\0{'descr'".to_vec(), "a NumPy array (.npy)", in_python),
        ("x.npz", zip("X.npy"), "an archive of NumPy arrays (.npz)", in_python),
        ("net.pt", zip("net/data.pkl"), "a file of PyTorch", none),
        ("data.zip", zip("data.xyz"), "a zip archive", "unpack it, or pack it with gzip, zstd or xz"),
        ("a.pkl", b"\x80\x04\x95\x10".to_vec(), "a Python pickle", in_python),
        ("a.h5", b"\x89HDF\r\n\x1a\n\0".to_vec(), "an HDF5 file", in_python),
        ("basis.rho", ours(), "a rhobasis basis file", none),
    ]
}

#[test]
fn other_files_in_place_of_structures_are_named() {
    for (name, bytes, what, remedy) in cases() {
        let file = TestFile::new(name, &bytes);
        let folder = file.folder.path().display().to_string() + "/";
        for slice in ["", "@0", "@-1"] {
            let error = read(format!("{}{slice}", file.path.display()), &Options::default()).unwrap_err();
            let error = error.to_string().replace(&folder, "");
            let expected = format!("{name}: is {what}");
            assert!(error.starts_with(&expected) && error.contains(", and extended XYZ is read; "), "{error}");
            assert!(error.ends_with(remedy), "{error}");
        }
    }
}

#[test]
fn a_packed_file_is_known_by_what_is_in_it() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(b"data_Si\n_cell_length_a 5.43\n").unwrap();
    let m = message(read(&TestFile::new("test.xyz", packer.finish().unwrap()).path, &Options::default()));
    assert!(m.contains("is a CIF, and extended XYZ is read; convert it: ase convert -i cif"), "{m}");
}

#[test]
fn other_files_in_place_of_ours_are_named() {
    let xyz = [
        ("data.xyz", numbered(2).into_bytes(), "an XYZ file of structures", ""),
        ("data.xyz.gz", b"\x1f\x8b\x08\0".to_vec(), "packed by gzip", ""),
    ];
    for (name, bytes, what, _) in cases().into_iter().chain(xyz).filter(|case| case.0 != "basis.rho") {
        let file = TestFile::new(name, &bytes);
        let error = OptimalBasis::load(&file.path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{name}: is {what}")) && error.ends_with("; give a rhobasis basis file"),
            "{error}"
        );
    }
    let m = Potential::load(&TestFile::new("a.rho", ours()).path).unwrap_err().to_string();
    assert!(m.ends_with("the file is of kind 'basis', not 'potential'; give a rhobasis potential file"), "{m}");
}

#[test]
fn frames_are_never_taken_for_another_format() {
    for text in [
        numbered(1),
        "2\n8 atoms\nH 0 0 0\nH 0 0 1\n".into(),
        "1\nATOM  \nH 0 0 0\n".into(),
        "3\n1.0\n1 0 0\n0 1 0\n".into(),
        "1\n{\n".into(),
    ] {
        let format = Format::of(text.as_bytes()).unwrap();
        assert_eq!(format.name(), "an XYZ file of structures", "{text}");
    }
    // An error in a frame stays the error.
    let m = message(read(&TestFile::new("test.xyz", "2\n8 atoms\nH 0 0 0\nQq 0 0 1\n").path, &Options::default()));
    assert!(m.contains("test.xyz, frame 0, atom 1: unknown element \"Qq\""), "{m}");
    assert_eq!(Format::of(b""), None);
    assert_eq!(Format::of(b"\n\n"), None);
    assert_eq!(Format::of(b"hello"), None);
}

#[cfg(unix)]
#[test]
fn a_basis_is_not_looked_for_in_a_file_without_end() {
    let m = OptimalBasis::load("/dev/zero".as_ref()).unwrap_err().to_string();
    assert!(m.contains("/dev/zero: not a safetensors file"), "{m}");
}

#[cfg(unix)]
#[test]
fn a_file_of_ours_is_read_from_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut archive = Archive::default();
    archive.insert("x", &ndarray::Array1::from_elem(100_000, 1.5));
    let mut bytes = Vec::new();
    archive.encode("basis", &mut bytes).unwrap();
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, bytes).unwrap()
    });
    assert_eq!(Archive::read(&pipe, "basis").unwrap(), archive);
    writer.join().unwrap();
}
