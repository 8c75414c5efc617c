//! Times the neighbour list on structures in a plain text file, as written by reference/neighbors/speed.py:
//! per structure a line `name n_atoms periodic r_cut`, three lattice vectors, and the positions.

use std::time::Instant;

use rhobasis::{Structure, neighbors::NeighborList};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: neighbors_speed FILE")?;
    let text = std::fs::read_to_string(path)?;
    let mut words = text.split_whitespace();
    while let Some(name) = words.next() {
        let mut number =
            || -> Result<f64, Box<dyn std::error::Error>> { Ok(words.next().ok_or("short file")?.parse()?) };
        let (n_atoms, periodic, r_cut) = (number()? as usize, number()? != 0.0, number()?);
        let mut vectors = (0..n_atoms + 3).map(|_| Ok([number()?, number()?, number()?]));
        let vectors = vectors.by_ref().collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
        let structure = Structure {
            species: vec![14; n_atoms],
            positions: vectors[3..].to_vec(),
            cell: [vectors[0], vectors[1], vectors[2]],
            pbc: [periodic; 3],
            ..Structure::default()
        };
        let mut list = NeighborList::new(&structure, r_cut)?;
        let mut best = f64::INFINITY;
        let inner = (20_000 / n_atoms).max(1);
        for _ in 0..30 {
            let begin = Instant::now();
            for _ in 0..inner {
                list.update(&structure, r_cut)?;
            }
            best = best.min(begin.elapsed().as_secs_f64() / inner as f64);
        }
        println!("{name} {} {best:e}", list.len());
    }
    Ok(())
}
