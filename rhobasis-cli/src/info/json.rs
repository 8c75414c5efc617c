//! What is in a data set, for programs.

use rhobasis::extxyz::SourceFile;
use rhobasis::structure::symbol;
use serde_json::{Map, Value, json};

use super::{Span, Summary, Tally};

impl Summary {
    /// One object; `null` stands for what there is none of.
    pub fn json(&self, files: &[SourceFile]) -> Value {
        let (few, many) = self.fewest_and_most.unwrap_or((0, 0));
        let species: Map<String, Value> = self
            .species
            .iter()
            .map(|(&z, (atoms, frames))| (symbol(z).to_string(), json!({ "atoms": atoms, "frames": frames })))
            .collect();
        let cells: Vec<Value> = self
            .cells
            .iter()
            .map(|((pbc, has_cell), n)| {
                let pbc: Vec<bool> = pbc.split(' ').map(|p| p == "T").collect();
                json!({ "pbc": pbc, "lattice": has_cell, "frames": n })
            })
            .collect();
        let shortest =
            self.shortest.as_ref().map(|(r, place, (i, j))| json!({ "distance": r, "frame": place, "atoms": [i, j] }));
        let likely = self.survey.likely();
        let likely: Map<String, Value> =
            likely.iter().map(|likely| (likely.kind.setting().to_string(), json!(likely.keys))).collect();
        let odd: Vec<Value> =
            self.odd.iter().map(|(what, n, first)| json!({ "what": what, "count": n, "first": first })).collect();
        let properties = [tally(&self.keys, "frame"), tally(&self.columns, "atom")].concat();
        json!({
            "files": files.iter().map(|file| json!({ "path": file.path, "frames": file.frames })).collect::<Vec<_>>(),
            "frames": self.n_frames,
            "atoms": self.n_atoms,
            "atoms_per_frame": { "min": few, "max": many },
            "species": species,
            "cells": cells,
            "number_density": span(self.density),
            "shortest_distance": shortest,
            "energy_per_atom": labelled(self.energy_per_atom, self.n_energies),
            "force": labelled(self.forces, self.n_forces),
            "stress": labelled(self.stress, self.n_stresses),
            "properties": properties,
            "likely_keys": likely,
            "odd": odd,
            "remarks": self.remarks(),
        })
    }
}

fn span(span: Span) -> Value {
    span.0.map_or(Value::Null, |(min, max)| json!({ "min": min, "max": max }))
}

fn labelled(values: Span, frames: usize) -> Value {
    values.0.map_or(Value::Null, |(min, max)| json!({ "min": min, "max": max, "frames": frames }))
}

fn tally(tally: &Tally, of: &str) -> Vec<Value> {
    tally.0.iter().map(|(name, kind, n)| json!({ "name": name, "kind": kind, "of": of, "frames": n })).collect()
}
