//! Cells that breathe, and dynamics that go on later.

use std::path::Path;

use rhobasis::potential::{BOLTZMANN, Barostat, Dynamics, DynamicsSettings, Evaluated, GPA, Thermostat};
use rhobasis::structure::Vec3;
use rhobasis::{Result, Structure};

const TEMPERATURE: f64 = 300.0;

fn gas(n: usize, edge: f64) -> Structure {
    let positions = (0..n).map(|i| [0.3 * i as f64, 0.7 * i as f64, 0.1]).collect();
    Structure::crystal(vec![18; n], positions, [[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]])
}

/// Atoms that do not see each other, in a cell that resists: U = ½ B (V − V_0)²/V_0.
fn elastic_box(modulus: f64, rest: f64) -> impl Fn(&Structure) -> Result<Evaluated> {
    move |s: &Structure| {
        let volume = s.volume();
        let slope = modulus * GPA * (volume - rest) / rest;
        let w = -volume * slope;
        let virial = [[w, 0.0, 0.0], [0.0, w, 0.0], [0.0, 0.0, w]];
        Ok(Evaluated { energy: 0.5 * slope * (volume - rest), forces: vec![[0.0; 3]; s.len()], virial: Some(virial) })
    }
}

fn npt(pressure: f64, tau: f64, compressibility: f64, dt: f64, seed: u64) -> DynamicsSettings {
    let thermostat = Thermostat::Rescaling { temperature: TEMPERATURE, tau: 20.0 };
    DynamicsSettings { dt, thermostat, barostat: Some(Barostat { pressure, tau, compressibility }), seed }
}

/// Mean and variance of the volume over a run.
fn volumes(
    start: Structure,
    settings: &DynamicsSettings,
    evaluate: impl Fn(&Structure) -> Result<Evaluated>,
) -> [f64; 2] {
    let mut dynamics = Dynamics::new(start, settings, evaluate).unwrap();
    dynamics.thermalize(TEMPERATURE).unwrap();
    let (mut sum, mut square, n) = (0.0, 0.0, 1_500_000);
    for step in 0..n + 20_000 {
        dynamics.step().unwrap();
        if step >= 20_000 {
            let volume = dynamics.structure().volume();
            sum += volume;
            square += volume * volume;
        }
    }
    let mean = sum / f64::from(n);
    [mean, square / f64::from(n) - mean * mean]
}

#[test]
fn an_ideal_gas_has_the_volume_of_its_law_and_its_fluctuations() {
    // p(V) ∝ V^N exp(−P V/(k_B T)): a gamma distribution of shape N + 1.
    let (n, pressure) = (40, 0.02);
    let scale = BOLTZMANN * TEMPERATURE / (pressure * GPA);
    let free =
        |s: &Structure| Ok(Evaluated { energy: 0.0, forces: vec![[0.0; 3]; s.len()], virial: Some([[0.0; 3]; 3]) });
    let settings = npt(pressure, 2000.0, 1.0 / pressure, 5.0, 4);
    let [mean, variance] = volumes(gas(n, (41.0 * scale).cbrt()), &settings, free);
    let shape = (n + 1) as f64;
    assert!((mean / (shape * scale) - 1.0).abs() < 0.03, "{mean} Å³, not {}", shape * scale);
    assert!((variance / (shape * scale * scale) - 1.0).abs() < 0.12, "{variance} Å⁶, not {}", shape * scale * scale);
}

#[test]
fn an_elastic_cell_has_the_volumes_of_its_modulus_under_pressure() {
    let (n, pressure, modulus, rest) = (8, 2.0, 20.0, 160.0_f64);
    let settings = npt(pressure, 200.0, 1.0 / modulus, 1.0, 9);
    let found = volumes(gas(n, rest.cbrt()), &settings, elastic_box(modulus, rest));
    let weight = |volume: f64| {
        let energy = 0.5 * modulus * GPA * (volume - rest) * (volume - rest) / rest + pressure * GPA * volume;
        n as f64 * (volume / rest).ln() - energy / (BOLTZMANN * TEMPERATURE)
    };
    let grid: Vec<f64> = (0..20_000).map(|k| 80.0 + 0.01 * f64::from(k)).collect();
    let moment = |power: i32| grid.iter().map(|v| v.powi(power) * weight(*v).exp()).sum::<f64>();
    let (norm, mean) = (moment(0), moment(1) / moment(0));
    let expected = [mean, moment(2) / norm - mean * mean];
    assert!((found[0] / expected[0] - 1.0).abs() < 0.005, "{found:?}, not {expected:?}");
    assert!((found[1] / expected[1] - 1.0).abs() < 0.08, "{found:?}, not {expected:?}");
}

#[test]
fn what_a_barostat_conserves_it_conserves_the_better_the_slower_it_is() {
    let worst = |tau: f64| {
        let evaluate = elastic_box(20.0, 160.0);
        let mut dynamics = Dynamics::new(gas(8, 5.0), &npt(1.0, tau, 0.05, 1.0, 3), evaluate).unwrap();
        dynamics.thermalize(TEMPERATURE).unwrap();
        let start = dynamics.state();
        let (mut worst, mut moved) = (0.0_f64, 0.0_f64);
        for _ in 0..20_000 {
            dynamics.step().unwrap();
            worst = worst.max((dynamics.state().conserved - start.conserved).abs());
            moved = moved.max((dynamics.structure().volume() - 125.0).abs());
        }
        assert!(moved > 10.0, "the cell hardly moves: {moved} Å³");
        worst
    };
    let [quick, slow] = [100.0, 800.0].map(worst);
    assert!(quick < 0.05 && slow < 0.2 * quick, "{quick} {slow} eV");
}

#[test]
fn pressure_is_the_virial_and_the_motion_of_atoms() {
    let mut dynamics = Dynamics::new(gas(8, 5.0), &npt(1.0, 100.0, 0.05, 1.0, 3), elastic_box(20.0, 160.0)).unwrap();
    dynamics.thermalize(TEMPERATURE).unwrap();
    let kinetic = 7.0 * BOLTZMANN * TEMPERATURE / 125.0 / GPA;
    let pressure = dynamics.state().pressure.unwrap();
    assert!((pressure - kinetic - 20.0 * 35.0 / 160.0).abs() < 1e-9, "{pressure} GPa");
}

/// A lattice of atoms on springs to their places, which move with the cell.
fn springs(s: &Structure) -> Result<Evaluated> {
    let edge = s.cell[0][0];
    let offset = |i: usize, r: &Vec3| -> Vec3 { [r[0] - 0.25 * edge * i as f64, r[1], r[2]] };
    let offsets: Vec<Vec3> = s.positions.iter().enumerate().map(|(i, r)| offset(i, r)).collect();
    let energy = offsets.iter().flatten().map(|x| 0.5 * 2.0 * x * x).sum::<f64>();
    let forces = offsets.iter().map(|d| d.map(|x| -2.0 * x)).collect();
    let walls = -0.2 * (edge - 8.0) * edge;
    let w = |k: usize| walls - offsets.iter().map(|d| 2.0 * d[k] * d[k]).sum::<f64>();
    let virial = [[w(0), 0.0, 0.0], [0.0, w(1), 0.0], [0.0, 0.0, w(2)]];
    Ok(Evaluated { energy: energy + 0.3 * (edge - 8.0).powi(2), forces, virial: Some(virial) })
}

#[test]
fn dynamics_go_on_from_an_archive_with_the_same_bits() {
    let crystal = gas(4, 8.0);
    for barostat in [None, Some(Barostat { pressure: 0.1, tau: 200.0, compressibility: 0.1 })] {
        let settings = DynamicsSettings { barostat, ..npt(0.1, 200.0, 0.1, 0.5, 6) };
        let mut whole = Dynamics::new(crystal.clone(), &settings, springs).unwrap();
        whole.thermalize(TEMPERATURE).unwrap();
        (0..57).for_each(|_| whole.step().unwrap());
        let archive = whole.archive();
        let mut later = Dynamics::resumed(crystal.clone(), &settings, &archive, Path::new("a"), springs).unwrap();
        assert_eq!(later.archive(), archive);
        for _ in 0..100 {
            whole.step().unwrap();
            later.step().unwrap();
        }
        assert_eq!(later.archive(), whole.archive());
        assert_eq!(later.state(), whole.state());
        let other = Dynamics::resumed(gas(5, 8.0), &settings, &archive, Path::new("a"), springs);
        assert!(other.err().unwrap().to_string().contains("a: array"));
    }
}

#[test]
fn a_barostat_needs_a_virial_a_temperature_and_a_cell() {
    let refused = |start: Structure, settings: DynamicsSettings| {
        Dynamics::new(start, &settings, springs).err().unwrap().to_string()
    };
    let good = npt(1.0, 100.0, 0.01, 1.0, 0);
    let cold = DynamicsSettings { thermostat: Thermostat::None, ..good };
    assert!(refused(gas(4, 8.0), cold).starts_with("pressure = 1: a pressure is kept at a temperature"));
    assert!(refused(gas(4, 8.0), npt(f64::NAN, 1.0, 1.0, 1.0, 0)).starts_with("pressure = NaN"));
    assert!(refused(gas(4, 8.0), npt(1.0, 0.0, 1.0, 1.0, 0)).starts_with("tau_p = 0"));
    assert!(refused(gas(4, 8.0), npt(1.0, 1.0, -1.0, 1.0, 0)).starts_with("compressibility = -1"));
    assert!(refused(Structure { pbc: [true, true, false], ..gas(4, 8.0) }, good).contains("has no pressure to keep"));
    let pairs = |s: &Structure| Ok((0.0, vec![[0.0; 3]; s.len()]));
    assert!(Dynamics::new(gas(4, 8.0), &good, pairs).err().unwrap().to_string().contains("no virial"));
    // A cell that would burst says so, and stays whole.
    let mut dynamics = Dynamics::new(gas(4, 8.0), &npt(500.0, 1.0, 10.0, 1.0, 0), springs).unwrap();
    dynamics.thermalize(TEMPERATURE).unwrap();
    let message = (0..10).find_map(|_| dynamics.step().err()).unwrap().to_string();
    assert!(message.contains("at step 10: the pressure is") && message.contains("more than a fifth"), "{message}");
    assert_eq!(dynamics.structure().cell, gas(4, 8.0).cell);
}
