//! `rhobasis ipi` and servers, good and bad: what it answers, and that it always ends.
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Child, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{Place, bundled, said, says};
use rhobasis::Structure;
use rhobasis::files::Stored;
use rhobasis::potential::{Potential, Prediction};

/// The constants of i-PI.
const EV: f64 = 0.036749326;
const ANGSTROM: f64 = 1.8897261;

const MODEL: &str = "[basis]\nr_cut = 4.0\nsigma = 0.4\nn_max = 6\nl_max = 3\nq_max = 4\nspline_accuracy = 1e-5\n[model]\nalpha = 1e-8\n";

/// A folder with a potential, and a template of eight atoms.
fn place() -> Place {
    static FILES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let [model, template] = FILES.get_or_init(|| {
        let data = bundled("silicon.xyz.xz");
        let place = Place::of(&[("m.toml", format!("[data]\ntrain = \"{data}@::10\"\n{MODEL}"))]);
        place.ok(&["train", "m.toml", "-o", "m.rho"]);
        [place.bytes("m.rho"), TEMPLATE.into()]
    });
    Place::new().with("m.rho", model).with("start.xyz", template)
}

/// A skewed cell, in which every component of the virial differs.
const TEMPLATE: &str = "8\nLattice=\"5.5 0 0 0.3 5.4 0 -0.2 0.4 5.6\" Properties=species:S:1:pos:R:3 pbc=\"T T T\"\n\
Si 0.1 0 0\nSi 1.4 1.3 1.4\nSi 0 2.75 2.7\nSi 1.3 4.1 4.0\nSi 2.8 0.1 2.7\nSi 4.1 1.4 4.0\nSi 2.7 2.8 0\nSi 4 4.1 1.3\n";

/// The other end of a socket.
struct Server<S>(S);

impl<S: Read + Write> Server<S> {
    fn say(&mut self, header: &str) {
        self.0.write_all(format!("{header:12}").as_bytes()).unwrap();
    }

    fn hears(&mut self, header: &str) {
        let mut bytes = [0; 12];
        self.0.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), format!("{header:12}"));
    }

    fn integer(&mut self) -> i32 {
        let mut bytes = [0; 4];
        self.0.read_exact(&mut bytes).unwrap();
        i32::from_ne_bytes(bytes)
    }

    fn reals(&mut self, n: usize) -> Vec<f64> {
        let mut bytes = vec![0; 8 * n];
        self.0.read_exact(&mut bytes).unwrap();
        bytes.chunks_exact(8).map(|b| f64::from_ne_bytes(b.try_into().unwrap())).collect()
    }

    fn text(&mut self) -> String {
        let length = self.integer();
        let mut bytes = vec![0; length as usize];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn init(&mut self, text: &str) {
        self.say("STATUS");
        self.hears("NEEDINIT");
        self.0.write_all(&init(text.len() as i32, text)).unwrap();
    }

    /// Hands a structure over, and takes energy, forces, virial and extras.
    fn evaluate(&mut self, structure: &Structure) -> (f64, Vec<f64>, Vec<f64>, String) {
        let request = [posdata(structure), b"GETFORCE    ".to_vec()].concat();
        self.0.write_all(&request).unwrap(); // in one packet
        self.hears("FORCEREADY");
        let energy = self.reals(1)[0];
        let n = self.integer() as usize;
        (energy, self.reals(3 * n), self.reals(9), self.text())
    }
}

fn init(length: i32, text: &str) -> Vec<u8> {
    let mut bytes = b"INIT        ".to_vec();
    bytes.extend([0_i32.to_ne_bytes(), length.to_ne_bytes()].concat());
    bytes.extend(text.as_bytes());
    bytes
}

fn doubles(numbers: impl IntoIterator<Item = f64>) -> Vec<u8> {
    numbers.into_iter().flat_map(f64::to_ne_bytes).collect()
}

/// h, with lattice vectors in columns, and numbers in place of its inverse, which is not looked at.
fn cell(structure: &Structure) -> Vec<u8> {
    let h = (0..9).map(|k| structure.cell[k % 3][k / 3] * ANGSTROM);
    doubles(h.chain([0.0; 9]))
}

fn positions(structure: &Structure) -> Vec<u8> {
    doubles(structure.positions.iter().flatten().map(|x| x * ANGSTROM))
}

fn posdata(structure: &Structure) -> Vec<u8> {
    let n = structure.len() as i32;
    [b"POSDATA     ".to_vec(), cell(structure), n.to_ne_bytes().to_vec(), positions(structure)].concat()
}

/// Starts the client with a UNIX socket in the folder, and what else is given; and the server's end.
fn start(place: &Place, more: &[&str]) -> (Child, Server<std::os::unix::net::UnixStream>) {
    let listener = UnixListener::bind(place.path("socket_si")).unwrap();
    let child = client(place, more);
    let server = Server(listener.accept().unwrap().0);
    server.0.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    (child, server)
}

fn client(place: &Place, more: &[&str]) -> Child {
    let prefix = format!("{}/socket_", place.folder().display());
    let mut command = place.command(&["ipi", "m.rho", "--template", "start.xyz"]);
    command.args(["--unix", "si", "--sockets-prefix", &prefix]).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What the client said when it ended, which it does soon.
fn ended(child: Child) -> Output {
    let start = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    output
}

fn refused(child: Child, parts: &[&str]) {
    let output = ended(child);
    let message = said(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    says(&message, parts);
}

fn exits(child: Child) -> String {
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", said(output.stderr));
    said(output.stdout)
}

fn expected(place: &Place, structure: &Structure) -> Prediction {
    let potential = Potential::load(&place.path("m.rho")).unwrap();
    potential.predict(std::slice::from_ref(structure), true).unwrap().remove(0)
}

fn check(found: (f64, &[f64], &[f64]), expected: &Prediction) {
    let (energy, forces, virial) = found;
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-10 * b.abs().max(1.0), "{a} {b}");
    close(energy, expected.energy * EV);
    assert_eq!(forces.len(), 3 * expected.forces.len());
    forces.iter().zip(expected.forces.as_flattened()).for_each(|(&a, b)| close(a, b * EV / ANGSTROM));
    virial.iter().zip(&expected.virial).for_each(|(&a, b)| close(a, b * EV));
}

/// The template, with its atoms moved.
fn moved(place: &Place, k: usize) -> Structure {
    let mut structure = place.read("start.xyz").remove(0);
    for (i, x) in structure.positions.as_flattened_mut().iter_mut().enumerate() {
        *x += 0.3 * ((i * 7 + k * 13) as f64).sin();
    }
    structure
}

#[test]
fn energy_forces_and_virial_are_those_of_predict_over_both_kinds_of_socket() {
    let place = place();
    let structure = moved(&place, 1);
    let expected = expected(&place, &structure);
    fn converse<S: Read + Write>(server: &mut Server<S>, structure: &Structure, expected: &Prediction) {
        server.init("");
        server.say("STATUS");
        server.hears("READY");
        server.0.write_all(&posdata(structure)).unwrap();
        server.say("STATUS");
        server.hears("HAVEDATA");
        server.say("GETFORCE");
        server.hears("FORCEREADY");
        let (energy, n) = (server.reals(1)[0], server.integer());
        let (forces, virial) = (server.reals(3 * n as usize), server.reals(9));
        check((energy, &forces, &virial), expected);
        assert_eq!(server.text(), "");
        server.say("STATUS");
        server.hears("READY");
        server.say("EXIT");
    }
    let (child, mut server) = start(&place, &[]);
    converse(&mut server, &structure, &expected);
    says(&exits(child), &["start.xyz, frame 0, Si8, pbc T T T", "socket_si said EXIT", "1 structure, "]);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut command =
        place.command(&["ipi", "m.rho", "--template", "start.xyz", "--host", "127.0.0.1", "--port", &port]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    converse(&mut Server(listener.accept().unwrap().0), &structure, &expected);
    says(&exits(child), &[&format!("127.0.0.1:{port} said EXIT")]);
}

#[test]
fn sixteen_beads_by_turns_need_a_list_each_at_most_and_get_the_numbers_of_predict() {
    let place = place();
    let beads: Vec<Structure> = (0..16).map(|k| moved(&place, k)).collect();
    let (child, mut server) = start(&place, &[]);
    server.init("");
    for _ in 0..3 {
        for bead in &beads {
            let (energy, forces, virial, _) = server.evaluate(bead);
            check((energy, &forces, &virial), &expected(&place, bead));
        }
    }
    server.say("EXIT");
    let told = exits(child);
    says(&told, &["48 structures"]);
    let before = told.split(" neighbour lists made").next().unwrap();
    let lists: usize = before.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((2..=17).contains(&lists), "{told}"); // one of the template; some beads share theirs
}

#[test]
fn a_batch_is_answered_in_one_message_in_its_order() {
    let place = place();
    let (child, mut server) = start(&place, &["--extras", "energies"]);
    server.init("pars, batch_size:4");
    let mut beads: Vec<Structure> = (0..3).map(|k| moved(&place, k)).collect();
    beads.push(beads[2].clone()); // as i-PI fills it up
    for _ in 0..2 {
        let mut request = b"POSDATA     ".to_vec();
        request.extend(8_i32.to_ne_bytes());
        beads.iter().for_each(|bead| request.extend(cell(bead)));
        beads.iter().for_each(|bead| request.extend(positions(bead)));
        request.extend(b"GETFORCE    ");
        server.0.write_all(&request).unwrap();
        server.hears("FORCEREADY");
        let energies = server.reals(4);
        assert_eq!(server.integer(), 8);
        let (forces, virials) = (server.reals(4 * 24), server.reals(4 * 9));
        for (k, bead) in beads.iter().enumerate() {
            let found = (energies[k], &forces[24 * k..24 * (k + 1)], &virials[9 * k..9 * (k + 1)]);
            let expected = expected(&place, bead);
            check(found, &expected);
            let extras: serde_json::Value = serde_json::from_str(&server.text()).unwrap();
            let of_atoms: Vec<f64> = serde_json::from_value(extras["energies"].clone()).unwrap();
            of_atoms.iter().zip(&expected.energies).for_each(|(a, b)| assert!((a - b).abs() < 1e-9));
        }
    }
    server.say("EXIT");
    says(&exits(child), &["6 structures"]); // copies are not evaluated again
}

#[test]
fn extras_hold_the_uncertainty_of_the_energy_and_the_extrapolation_of_atoms() {
    let place = place();
    let (child, mut server) = start(&place, &["--extras", "uncertainty,energies,extrapolation"]);
    server.init("");
    let structure = moved(&place, 2);
    let extras: serde_json::Value = serde_json::from_str(&server.evaluate(&structure).3).unwrap();
    let potential = Potential::load(&place.path("m.rho")).unwrap();
    let structures = [structure];
    let expected = potential.energy_variances(&structures).unwrap()[0].sqrt();
    assert!((extras["energy_uncertainty"].as_f64().unwrap() - expected).abs() < 1e-9 * expected, "{extras}");
    let of_atoms: Vec<f64> = serde_json::from_value(extras["extrapolation"].clone()).unwrap();
    let expected = potential.extrapolation(&structures).unwrap();
    assert!(of_atoms.iter().zip(&expected[0]).all(|(a, b)| (a - b).abs() < 1e-9 * b), "{of_atoms:?} {expected:?}");
    assert_eq!(of_atoms.len(), 8);
    assert_eq!(extras["energies"].as_array().unwrap().len(), 8);
    server.say("EXIT");
    exits(child);
}

#[test]
fn what_is_no_message_is_named_and_ends_it() {
    let place = place();
    let with = |change: &dyn Fn(&mut Structure)| {
        let mut structure = moved(&place, 1);
        change(&mut structure);
        posdata(&structure)
    };
    let of_header = |n: i32| [b"POSDATA     ".to_vec(), vec![0; 144], n.to_ne_bytes().to_vec()].concat();
    let cases: [(Vec<u8>, &[&str]); 13] = [
        (b"HTTP/1.1 400 Bad Request".to_vec(), &["socket_si: \"HTTP/1.1 400\" is no message of i-PI's protocol"]),
        (b"posdata     ".to_vec(), &["\"posdata     \" is no message"]),
        (vec![0; 12], &["is no message"]),
        (b"GETFORCE    ".to_vec(), &["GETFORCE without POSDATA before"]),
        (init(-1, ""), &["INIT with a text of -1 bytes"]),
        (init(i32::MAX, ""), &["INIT with a text of 2147483647 bytes"]),
        (init(12, "batch_size:0"), &["batch_size \"0\" of INIT is no number from 1 to 4096"]),
        (init(19, "batch_size:99999999"), &["batch_size \"99999999\""]),
        (of_header(7), &["POSDATA of 7 atoms, and the template has 8; give the frame that i-PI starts from"]),
        (of_header(i32::MAX), &["POSDATA of 2147483647 atoms, and the template has 8"]),
        (with(&|s| s.positions[3][1] = f64::NAN), &["frame 0, atom 3: the server sent position (", "NaN"]),
        (with(&|s| s.cell[0][0] = f64::INFINITY), &["frame 0: the server sent the lattice vectors [[inf"]),
        (with(&|s| s.positions[3] = s.positions[2]), &["frame 0, atom 2: atoms 2 and 3", "Å apart"]),
    ];
    for (bytes, parts) in cases {
        let _ = std::fs::remove_file(place.path("socket_si"));
        let (child, mut server) = start(&place, &[]);
        server.0.write_all(&bytes).unwrap();
        refused(child, parts);
    }
    let _ = std::fs::remove_file(place.path("socket_si"));
    let (child, mut server) = start(&place, &[]);
    server.init("");
    server.evaluate(&moved(&place, 1));
    let mut shifted = moved(&place, 1);
    shifted.positions[0][0] = f64::NAN;
    server.0.write_all(&posdata(&shifted)).unwrap();
    refused(child, &["frame 1, atom 0", "the simulation has come apart"]);
}

#[test]
fn a_server_that_dies_ends_it_and_says_how_far_it_came() {
    let place = place();
    let (child, mut server) = start(&place, &[]);
    server.init("");
    server.evaluate(&moved(&place, 1));
    drop(server);
    refused(
        child,
        &["the server closed the connection without EXIT, after 1 evaluated structure", "--reconnect SECONDS"],
    );

    std::fs::remove_file(place.path("socket_si")).unwrap();
    let (child, mut server) = start(&place, &[]);
    server.0.write_all(&posdata(&moved(&place, 1))[..100]).unwrap(); // in the middle of a message
    drop(server);
    refused(child, &["without EXIT, after 0 evaluated structures"]);
}

#[test]
fn a_server_that_comes_late_or_back_is_waited_for_and_none_is_not_waited_for_for_ever() {
    let place = place();
    refused(client(&place, &["--wait", "0.3"]), &["socket_si: no server within 0.", "start i-PI on this machine"]);

    let child = client(&place, &["--wait", "30", "--reconnect", "30"]);
    std::thread::sleep(Duration::from_millis(500));
    let listener = UnixListener::bind(place.path("socket_si")).unwrap();
    for _ in 0..2 {
        let mut server = Server(listener.accept().unwrap().0);
        server.init(""); // each time anew
        server.evaluate(&moved(&place, 1));
    }
    let mut server = Server(listener.accept().unwrap().0);
    server.init("");
    server.say("EXIT");
    says(&exits(child), &["2 structures"]);

    std::fs::remove_file(place.path("socket_si")).unwrap();
    let (child, server) = start(&place, &["--reconnect", "1"]);
    std::fs::remove_file(place.path("socket_si")).unwrap();
    drop(server);
    refused(child, &["socket_si: no server within 1."]);
}

#[test]
fn ctrl_c_ends_it_while_it_waits_for_a_server_and_for_a_message() {
    let place = place();
    let interrupt = |child: &Child| {
        std::thread::sleep(Duration::from_millis(1500));
        // SAFETY: a signal to a process of our own.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    };
    let child = client(&place, &[]);
    interrupt(&child);
    let output = ended(child);
    assert_eq!(output.status.code(), Some(130));
    let (child, mut server) = start(&place, &[]);
    server.init("");
    server.evaluate(&moved(&place, 1));
    interrupt(&child);
    let output = ended(child);
    assert_eq!(output.status.code(), Some(130));
    says(&said(output.stderr), &["interrupted by SIGINT: 1 structure, "]);
}

#[test]
fn a_cell_in_other_units_is_remarked_on() {
    let place = place();
    let (child, mut server) = start(&place, &[]);
    server.init("");
    let mut structure = moved(&place, 1);
    structure.cell.as_flattened_mut().iter_mut().for_each(|x| *x *= ANGSTROM);
    structure.positions.as_flattened_mut().iter_mut().for_each(|x| *x *= ANGSTROM);
    server.evaluate(&structure);
    server.say("EXIT");
    let output = ended(child);
    says(&said(output.stderr), &["note: the server's cell has ", "names the units of cell and positions"]);
}

#[test]
fn templates_and_arguments_that_cannot_be_meant_are_refused() {
    let place = place()
        .with("ipi.xyz", "1\n# CELL(abcABC): 10 10 10 90 90 90 cell{angstrom}\nSi 0 0 0\n")
        .with("oxygen.xyz", "1\nProperties=species:S:1:pos:R:3 pbc=\"F F F\"\nO 0 0 0\n");
    let run = ["ipi", "m.rho", "--template"];
    let with = |more: &[&'static str]| [&run[..], more].concat();
    place.refused(
        1,
        &with(&["ipi.xyz", "--unix", "si"]),
        &["ipi.xyz", "frame 0", "in a comment of i-PI", "mode='ase'"],
    );
    place.refused(1, &with(&["oxygen.xyz", "--unix", "si"]), &["oxygen.xyz", "O is not among the species"]);
    place.refused(1, &with(&["nothing.xyz", "--unix", "si"]), &["nothing.xyz"]);
    place.refused(2, &with(&["start.xyz"]), &["--unix", "--port"]);
    place.refused(2, &with(&["start.xyz", "--unix", "si", "--port", "31415"]), &["--unix"]);
    place.refused(2, &with(&["start.xyz", "--unix", "si", "--host", "here"]), &["--host"]);
    place.refused(2, &with(&["start.xyz", "--port", "31415", "--sockets-prefix", "/tmp/"]), &["--unix"]);
    place.refused(2, &with(&["start.xyz", "--unix", "si", "--wait=-1"]), &["--wait"]);
    place.refused(
        2,
        &with(&["start.xyz", "--unix", "si", "--extras", "dipole"]),
        &["energies, uncertainty, extrapolation"],
    );
}
