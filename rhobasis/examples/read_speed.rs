//! Time to read a file into structures: `cargo run --release --example read_speed -- qm9.xyz[@:5000] [repeats]`.

use std::time::Instant;

use rhobasis::extxyz::{Options, Reader};

fn main() -> rhobasis::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(spec) = arguments.next() else {
        eprintln!("usage: read_speed FILE[@SLICE] [REPEATS]");
        std::process::exit(2);
    };
    let repeats = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    for _ in 0..repeats {
        let start = Instant::now();
        let mut reader = Reader::open(&spec, &Options::default())?;
        let (mut n_frames, mut n_atoms, mut bytes) = (0, 0, 0);
        while let Some(frame) = reader.next() {
            n_atoms += frame?.len();
            n_frames += 1;
            bytes = reader.bytes().0;
        }
        let seconds = start.elapsed().as_secs_f64();
        let rate = bytes as f64 / seconds / 1e6;
        println!("{n_frames} frames, {n_atoms} atoms, {bytes} bytes as stored: {seconds:.4} s, {rate:.0} MB/s");
    }
    Ok(())
}
