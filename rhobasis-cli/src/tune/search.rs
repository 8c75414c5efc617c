//! Where to go: one setting after the other, from the best that is known.

use rhobasis::Result;
use rhobasis::density::RadialScaling;

use super::point::{Point, Tuned};
use super::trial::Trial;

/// What is changed at a time.
#[derive(Clone, Copy, PartialEq)]
pub enum Axis {
    Functions,
    Scaling,
    Number,
    Cutoff,
    Width,
    AngularMomenta,
}

/// In this order, again and again until nothing changes.
pub const AXES: [Axis; 6] =
    [Axis::Functions, Axis::Scaling, Axis::Number, Axis::Cutoff, Axis::Width, Axis::AngularMomenta];

const NUMBERS: [usize; 12] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20];
/// Factor between two cutoff radii.
const OF_CUTOFF: f64 = 1.15;
/// Factor between two widths.
const OF_WIDTH: f64 = 1.25;
/// Factor between two exponents of the scaling.
const OF_EXPONENT: f64 = 1.5;

/// Costs that differ by less than this factor are the same.
const OF_TIMES: f64 = 1.05;

/// Ways to go: each is followed as long as it leads to something better.
pub enum Way {
    To(Point),
    Up,
    Down,
}

/// Ways along an axis.
pub fn ways(
    tuned: &Tuned,
    axis: Axis,
    from: &Point,
    find_scaling: impl FnOnce() -> Result<Option<RadialScaling>>,
) -> Result<Vec<Way>> {
    Ok(match axis {
        Axis::Functions => {
            tuned.functions.iter().map(|&functions| Way::To(Point { functions, ..from.clone() })).collect()
        }
        // What a linear model sees of supervised functions does not depend on how the density is scaled.
        Axis::Scaling if !tuned.kernel && from.functions.are_supervised() => Vec::new(),
        Axis::Scaling => {
            let scalings = [None, find_scaling()?];
            let points = scalings.into_iter().map(|scaling| Way::To(Point { scaling, ..from.clone() }));
            points.chain([Way::Up, Way::Down]).collect()
        }
        Axis::Number if !tuned.takes_all_functions => Vec::new(),
        Axis::AngularMomenta if !tuned.takes_all_l => Vec::new(),
        _ => vec![Way::Up, Way::Down],
    })
}

/// The next point along a way, if there is one.
pub fn step(tuned: &Tuned, axis: Axis, way: &Way, from: &Point) -> Option<Point> {
    let up = match way {
        Way::To(point) => return Some(point.clone()),
        Way::Up => true,
        Way::Down => false,
    };
    let times = |x: f64, factor: f64| if up { x * factor } else { x / factor };
    let rounded = |x: f64, step: f64| (x / step).round() * step;
    let tidy = |x: f64, digits: usize| format!("{x:.digits$}").parse().expect("a number");
    let mut to = from.clone();
    match axis {
        Axis::Functions => return None,
        Axis::Scaling => {
            let scaling = to.scaling.as_mut()?;
            scaling.exponent = tidy(times(scaling.exponent, OF_EXPONENT), 2);
        }
        Axis::Number => {
            let other = if up {
                NUMBERS.into_iter().find(|&n| n > from.q_max)
            } else {
                NUMBERS.into_iter().rev().find(|&n| n < from.q_max)
            };
            to.q_max = other.filter(|&n| n <= tuned.most_functions(from))?;
        }
        Axis::Cutoff => to.r_cut = tidy(rounded(times(from.r_cut, OF_CUTOFF), 0.1), 1),
        Axis::Width => to.sigma = Some(tidy(times(from.sigma?, OF_WIDTH), 2)),
        Axis::AngularMomenta => to.l_max = if up { from.l_max + 1 } else { from.l_max.checked_sub(1)? },
    }
    (to != *from).then_some(to)
}

/// Which of the trials is taken: of those within one standard error of the best, the cheapest to evaluate; where costs are the
/// same, as far as they can be timed, the best of them.
pub fn chosen(trials: &[Trial]) -> Option<usize> {
    let best = best(trials)?;
    let as_good = |&k: &usize| {
        let (mean, error) = trials[k].worse_than(&trials[best]);
        k == best || mean <= error
    };
    let good: Vec<usize> = (0..trials.len()).filter(as_good).collect();
    let least = good.iter().map(|&k| trials[k].cost).fold(f64::INFINITY, f64::min);
    let cheap = good.into_iter().filter(|&k| trials[k].cost <= OF_TIMES * least);
    cheap.min_by(|&a, &b| trials[a].score().total_cmp(&trials[b].score()).then(a.cmp(&b)))
}

/// The trial of the least error.
pub fn best(trials: &[Trial]) -> Option<usize> {
    (0..trials.len()).min_by(|&a, &b| trials[a].score().total_cmp(&trials[b].score()).then(a.cmp(&b)))
}

#[cfg(test)]
mod tests {
    use super::super::point::Functions;
    use super::*;

    fn trial(scores: [f64; 3], cost: f64) -> Trial {
        let point =
            Point { r_cut: 5.0, sigma: Some(0.5), l_max: 3, q_max: 4, scaling: None, functions: Functions::Principal };
        let folds = Vec::new();
        Trial {
            point,
            energy: None,
            force: None,
            energy_of_folds: folds.clone(),
            force_of_folds: folds,
            scores: scores.to_vec(),
            cost,
            n_features: 1,
            seconds: 1.0,
        }
    }

    #[test]
    fn the_cheapest_of_those_that_are_as_good_as_the_best_is_taken() {
        // Worse by 0.1 ± 0.06 and by 0.02 ± 0.05 than the best; the folds themselves differ much more.
        let [best, worse, as_good] = [[1.0, 2.0, 3.0], [1.0, 2.1, 3.2], [1.1, 1.9, 3.06]];
        let trials = [trial(worse, 1.0), trial(best, 9.0), trial(as_good, 5.0)];
        assert_eq!((super::best(&trials), chosen(&trials)), (Some(1), Some(2)));
        // As good and not cheaper, as far as can be said.
        let trials = [trial(best, 9.0), trial(as_good, 8.8)];
        assert_eq!(chosen(&trials), Some(0));
        assert_eq!(chosen(&[]), None);
    }
}
