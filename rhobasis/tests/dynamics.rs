//! Dynamics of toys whose motion is known.

use rhobasis::potential::{AMU_A2_FS2, BOLTZMANN, Drift, Dynamics, DynamicsSettings, Thermostat};
use rhobasis::structure::{Vec3, mass};
use rhobasis::{Error, Result, Structure};

/// Spring constant, in eV/Å².
const SPRING: f64 = 20.0;

fn between(a: Vec3, b: Vec3) -> (Vec3, f64) {
    let d: Vec3 = std::array::from_fn(|k| b[k] - a[k]);
    (d, d.iter().map(|x| x * x).sum::<f64>().sqrt())
}

/// Two atoms on a spring of rest length 1 Å.
fn spring(s: &Structure) -> Result<(f64, Vec<Vec3>)> {
    let (d, r) = between(s.positions[0], s.positions[1]);
    let pull = d.map(|x| SPRING * (r - 1.0) * x / r);
    Ok((0.5 * SPRING * (r - 1.0) * (r - 1.0), vec![pull, pull.map(|x| -x)]))
}

/// Argon-like atoms without a cell: ε = 0.01 eV, σ = 3.4 Å.
fn lennard_jones(s: &Structure) -> Result<(f64, Vec<Vec3>)> {
    let (mut energy, mut forces) = (0.0, vec![[0.0; 3]; s.len()]);
    for i in 0..s.len() {
        for j in 0..i {
            let (d, r) = between(s.positions[i], s.positions[j]);
            let sixth = (3.4 / r).powi(6);
            energy += 0.04 * sixth * (sixth - 1.0);
            let slope = 0.04 * (6.0 * sixth - 12.0 * sixth * sixth) / r;
            for k in 0..3 {
                forces[i][k] += slope * d[k] / r;
                forces[j][k] -= slope * d[k] / r;
            }
        }
    }
    Ok((energy, forces))
}

/// A cluster of eight atoms on a cube, mixed in mass.
fn cluster() -> Structure {
    let corner =
        |c: u32| std::array::from_fn(|k| 3.8 * f64::from((c >> k) & 1) + 0.05 * f64::from((3 * c + k as u32) % 4));
    Structure::molecule(vec![18, 10, 18, 18, 10, 18, 18, 10], (0..8).map(corner).collect())
}

fn nve(dt: f64) -> DynamicsSettings {
    DynamicsSettings { dt, thermostat: Thermostat::None, barostat: None, seed: 5 }
}

fn stretched() -> Structure {
    Structure::molecule(vec![8, 6], vec![[0.0; 3], [1.1, 0.0, 0.0]])
}

#[test]
fn the_period_of_an_oscillator_is_that_of_its_reduced_mass() {
    let reduced = 1.0 / (1.0 / mass(8).unwrap() + 1.0 / mass(6).unwrap());
    let period = std::f64::consts::TAU * (reduced * AMU_A2_FS2 / SPRING).sqrt();
    let steps = 2000;
    let mut dynamics = Dynamics::new(stretched(), &nve(period / f64::from(steps)), spring).unwrap();
    let distance = |s: &Structure| between(s.positions[0], s.positions[1]).1;
    for _ in 0..steps / 2 {
        dynamics.step().unwrap();
    }
    assert!((distance(dynamics.structure()) - 0.9).abs() < 1e-5);
    for _ in 0..steps / 2 {
        dynamics.step().unwrap();
    }
    assert!((distance(dynamics.structure()) - 1.1).abs() < 1e-5);
    assert!((dynamics.state().time - period).abs() < 1e-9);
}

#[test]
fn the_energy_error_falls_as_the_square_of_the_step() {
    let worst = |dt: f64| {
        let mut dynamics = Dynamics::new(stretched(), &nve(dt), spring).unwrap();
        let start = dynamics.state().conserved;
        (0..(200.0 / dt) as usize).fold(0.0_f64, |worst, _| {
            dynamics.step().unwrap();
            worst.max((dynamics.state().conserved - start).abs())
        })
    };
    let errors = [2.0, 1.0, 0.5].map(worst);
    for pair in errors.windows(2) {
        assert!((pair[0] / pair[1] - 4.0).abs() < 0.25, "{errors:?}");
    }
}

#[test]
fn reversed_velocities_lead_back() {
    let mut dynamics = Dynamics::new(cluster(), &nve(2.0), lennard_jones).unwrap();
    dynamics.thermalize(40.0).unwrap();
    let start: Vec<Vec3> = dynamics.velocities().to_vec();
    (0..500).for_each(|_| dynamics.step().unwrap());
    let moved = between(dynamics.structure().positions[0], cluster().positions[0]).1;
    assert!(moved > 0.1, "nothing has moved: {moved} Å");
    let back = dynamics.velocities().iter().map(|v| v.map(|x| -x)).collect();
    dynamics.set_velocities(back).unwrap();
    (0..500).for_each(|_| dynamics.step().unwrap());
    for (now, then) in dynamics.structure().positions.iter().zip(&cluster().positions) {
        assert!(between(*now, *then).1 < 1e-9);
    }
    for (now, then) in dynamics.velocities().iter().zip(&start) {
        assert!((0..3).all(|k| (now[k] + then[k]).abs() < 1e-12));
    }
}

#[test]
fn start_velocities_have_the_temperature_and_no_momentum_and_neither_changes_the_momentum() {
    for thermostat in [Thermostat::None, Thermostat::Rescaling { temperature: 60.0, tau: 20.0 }] {
        let settings = DynamicsSettings { dt: 2.0, thermostat, barostat: None, seed: 3 };
        let mut dynamics = Dynamics::new(cluster(), &settings, lennard_jones).unwrap();
        dynamics.thermalize(35.0).unwrap();
        assert!((dynamics.state().temperature - 35.0).abs() < 1e-10);
        assert_eq!(dynamics.degrees_of_freedom(), 21);
        (0..1000).for_each(|_| dynamics.step().unwrap());
        assert!(dynamics.momentum().iter().all(|p| p.abs() < 1e-10), "{:?}", dynamics.momentum());
    }
}

#[test]
fn maxwell_and_boltzmann_would_recognise_the_start_velocities() {
    // Σ over draws: m v²/2 of each component is k_B T/2 on average, for light and heavy atoms alike.
    let n = 4000;
    let structure = Structure::molecule(
        (0..n).map(|i| if i % 2 == 0 { 1 } else { 79 }).collect(),
        (0..n).map(|i| [5.0 * i as f64, 0.0, 0.0]).collect(),
    );
    let free = |s: &Structure| Ok((0.0, vec![[0.0; 3]; s.len()]));
    let mut dynamics = Dynamics::new(structure, &nve(1.0), free).unwrap();
    dynamics.thermalize(300.0).unwrap();
    let energies = |z: u8, parity: usize| -> Vec<f64> {
        let of_kind = dynamics.velocities().iter().skip(parity).step_by(2);
        of_kind.flatten().map(|v| mass(z).unwrap() * AMU_A2_FS2 * v * v / (BOLTZMANN * 300.0)).collect()
    };
    for x in [energies(1, 0), energies(79, 1)] {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        // χ² of one degree of freedom: mean 1, mean square 3, their standard errors 0.018 and 0.13.
        assert!((mean - 1.0).abs() < 0.08 && (square - 3.0).abs() < 0.5, "{mean} {square}");
    }
}

/// Each atom on a spring of its own: n harmonic oscillators, which the thermostat couples.
fn pinned(s: &Structure) -> Result<(f64, Vec<Vec3>)> {
    let offset = |i: usize, r: &Vec3| -> Vec3 { [r[0] - 5.0 * i as f64, r[1], r[2]] };
    let offsets: Vec<Vec3> = s.positions.iter().enumerate().map(|(i, r)| offset(i, r)).collect();
    let energy = offsets.iter().flatten().map(|x| 0.5 * 2.0 * x * x).sum();
    Ok((energy, offsets.iter().map(|d| d.map(|x| -2.0 * x)).collect()))
}

#[test]
fn the_thermostat_samples_the_canonical_distribution() {
    // Of one oscillator in a frame of two: the relative motion of a pair has 3 degrees of freedom, of which the kinetic energy
    // is gamma distributed with shape 3/2: mean 3/2 k_B T and variance 3/2 (k_B T)².
    let temperature = 300.0;
    let thermostat = Thermostat::Rescaling { temperature, tau: 10.0 };
    let settings = DynamicsSettings { dt: 1.0, thermostat, barostat: None, seed: 11 };
    let mut dynamics = Dynamics::new(stretched(), &settings, spring).unwrap();
    dynamics.thermalize(50.0).unwrap();
    let (mut sum, mut square, mut potential, n) = (0.0, 0.0, 0.0, 400_000);
    for step in 0..n + 1000 {
        dynamics.step().unwrap();
        if step >= 1000 {
            let state = dynamics.state();
            let x = state.kinetic / (BOLTZMANN * temperature);
            sum += x;
            square += x * x;
            potential += state.potential / (BOLTZMANN * temperature);
        }
    }
    let [mean, square, potential] = [sum, square, potential].map(|x| x / f64::from(n));
    assert!((mean - 1.5).abs() < 0.03, "mean kinetic energy {mean} k_B T, not 3/2");
    assert!((square - mean * mean - 1.5).abs() < 0.1, "variance {}", square - mean * mean);
    // Equipartition: the spring holds k_B T/2 (to a few percent, for r² dr is not dr).
    assert!((potential - 0.5).abs() < 0.04, "mean potential energy {potential} k_B T, not 1/2");
}

#[test]
fn a_thermostat_leaves_a_quantity_conserved_and_heats() {
    let run = |dt: f64| {
        let thermostat = Thermostat::Rescaling { temperature: 200.0, tau: 50.0 };
        let structure =
            Structure::molecule(vec![6; 10], (0..10).map(|i| [5.0 * f64::from(i) + 0.01, 0.0, 0.0]).collect());
        let mut dynamics =
            Dynamics::new(structure, &DynamicsSettings { dt, thermostat, barostat: None, seed: 2 }, pinned).unwrap();
        dynamics.thermalize(10.0).unwrap();
        let (start, mut worst) = (dynamics.state(), 0.0_f64);
        for _ in 0..(1000.0 / dt) as usize {
            dynamics.step().unwrap();
            worst = worst.max((dynamics.state().conserved - start.conserved).abs());
        }
        let end = dynamics.state();
        (worst, end.potential + end.kinetic - start.potential - start.kinetic)
    };
    let ((coarse, heat), (fine, _)) = (run(2.0), run(0.5));
    assert!(heat > 0.1, "the thermostat gave {heat} eV");
    assert!(coarse < 0.03 * heat && fine < 0.15 * coarse, "{coarse} {fine} of {heat}");
}

#[test]
fn the_same_seed_gives_the_same_trajectory() {
    let run = |seed: u64| {
        let thermostat = Thermostat::Rescaling { temperature: 50.0, tau: 50.0 };
        let settings = DynamicsSettings { dt: 1.0, thermostat, barostat: None, seed };
        let mut dynamics = Dynamics::new(cluster(), &settings, lennard_jones).unwrap();
        dynamics.thermalize(50.0).unwrap();
        (0..50).for_each(|_| dynamics.step().unwrap());
        dynamics.structure().positions.clone()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_drift_is_the_slope_of_a_noisy_line() {
    let mut drift = Drift::default();
    // An offset far larger than what is measured, as total energies have it.
    (0..1000).for_each(|t| drift.add(f64::from(t), -1e5 + 1e-4 * f64::from(t) + if t % 2 == 0 { 0.01 } else { -0.01 }));
    assert!((drift.slope() - 1e-4).abs() < 1e-7);
    assert!((drift.fluctuation() - 0.01).abs() < 1e-4);
    assert!(drift.slope_error() > 0.0 && drift.slope_error() < 2e-6);
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let message = |e: Error| e.to_string();
    let refused = |settings: DynamicsSettings| message(Dynamics::new(stretched(), &settings, spring).err().unwrap());
    assert!(refused(nve(0.0)).starts_with("dt = 0"));
    assert!(refused(nve(f64::NAN)).starts_with("dt = NaN"));
    let hot = Thermostat::Rescaling { temperature: -1.0, tau: 10.0 };
    assert!(refused(DynamicsSettings { thermostat: hot, ..nve(1.0) }).starts_with("temperature = -1"));
    let quick = Thermostat::Rescaling { temperature: 1.0, tau: 0.0 };
    assert!(refused(DynamicsSettings { thermostat: quick, ..nve(1.0) }).starts_with("tau = 0"));
    let empty = Structure::molecule(vec![], vec![]);
    let nothing = |_: &Structure| Ok((0.0, vec![]));
    assert!(message(Dynamics::new(empty, &nve(1.0), nothing).err().unwrap()).contains("no atoms"));
    let mut left = 3;
    let breaks = |_: &Structure| {
        left -= 1;
        Ok((0.0, vec![[0.0; 3], [if left == 0 { f64::NAN } else { 0.0 }, 0.0, 0.0]]))
    };
    let mut dynamics = Dynamics::new(stretched(), &nve(1.0), breaks).unwrap();
    dynamics.step().unwrap();
    assert!(message(dynamics.step().err().unwrap()).contains("at step 2: the force [NaN"));
    assert!(message(dynamics.set_velocities(vec![[0.0; 3]]).err().unwrap()).starts_with("velocities = 1"));
    assert!(message(dynamics.thermalize(f64::NAN).err().unwrap()).starts_with("temperature = NaN"));
}

#[test]
fn a_run_that_explodes_ends_with_its_step_and_the_state_that_shows_why() {
    // A hole in the potential: atoms fall into each other, and out of it with far more energy.
    let hole = |s: &Structure| {
        let (d, r) = between(s.positions[0], s.positions[1]);
        let slope = 4.0 / (r * r * r).max(1e-4);
        let pull = d.map(|x| slope * x / r.max(1e-6));
        Ok((-2.0 / (r * r), vec![pull, pull.map(|x| -x)]))
    };
    let mut dynamics = Dynamics::new(stretched(), &nve(1.0), hole).unwrap();
    let error = (0..10_000).find_map(|_| dynamics.step().err()).expect("it does not explode");
    let step = dynamics.state().step;
    let message = error.to_string();
    assert!(message.contains(&format!("at step {step}: the ")) && message.contains("smaller time step"), "{message}");
    assert!(message.starts_with("atom "), "{message}");
    // Atoms whose forces cannot be had are where they were.
    let mut calls = 0;
    let breaks = |s: &Structure| {
        calls += 1;
        if calls > 3 { Err(Error::structure(Some(1), "no such thing", "wait")) } else { spring(s) }
    };
    let mut dynamics = Dynamics::new(stretched(), &nve(1.0), breaks).unwrap();
    (0..2).for_each(|_| dynamics.step().unwrap());
    let (before, positions) = (dynamics.state(), dynamics.structure().positions.clone());
    assert!(dynamics.step().err().unwrap().to_string().contains("at step 3: no such thing"));
    assert_eq!((dynamics.state(), &dynamics.structure().positions), (before, &positions));
}
