use super::target::Target;

/// Predictions beside labels, and the mean label beside them.
///
/// ```
/// use rhobasis::equivariant::{Target, TensorErrors};
/// let mut errors = TensorErrors::new(Target::Dipole);
/// errors.add(&[0.0, 0.0, 1.0], &[0.0, 0.0, 1.5]);
/// errors.add(&[0.0, 0.0, -1.0], &[0.0, 0.0, -1.5]);
/// let all = errors.rows().pop().unwrap();
/// assert_eq!((all.component, all.count), ("all", 6));
/// assert_eq!((all.mae, all.mae_of_mean), (0.5 / 3.0, 0.5));
/// ```
#[derive(Debug, Clone)]
pub struct TensorErrors {
    target: Target,
    /// Predicted and given components of each frame.
    pairs: Vec<[Vec<f64>; 2]>,
}

/// Errors of one component, or of all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorErrorRow {
    /// Its name; `all` for all together.
    pub component: &'static str,
    /// Numbers that were compared.
    pub count: usize,
    /// Mean absolute error.
    pub mae: f64,
    /// Root of the mean squared error.
    pub rmse: f64,
    /// Mean absolute error of the mean label, for each component its own.
    pub mae_of_mean: f64,
    /// Root of the mean squared error of the mean label: the standard deviation of the labels.
    pub rmse_of_mean: f64,
}

impl TensorErrors {
    /// Nothing compared yet.
    pub fn new(target: Target) -> Self {
        TensorErrors { target, pairs: Vec::new() }
    }

    /// Adds a frame: Cartesian components as [`Target::components`] has them.
    pub fn add(&mut self, predicted: &[f64], label: &[f64]) {
        self.pairs.push([predicted.to_vec(), label.to_vec()]);
    }

    /// Frames that were compared.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Predictions and labels of all components of all frames, to be drawn over each other.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.pairs.iter().flat_map(|[predicted, label]| predicted.iter().copied().zip(label.iter().copied()))
    }

    /// The frame with the largest error of a component, by its number in the order of [`TensorErrors::add`], and that error.
    pub fn largest(&self) -> Option<(usize, f64)> {
        let of = |[predicted, label]: &[Vec<f64>; 2]| {
            predicted.iter().zip(label).fold(0.0, |largest: f64, (p, y)| largest.max((p - y).abs()))
        };
        self.pairs.iter().map(of).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// A row for each component that differs from those before (of a symmetric matrix six), and then one for all.
    pub fn rows(&self) -> Vec<TensorErrorRow> {
        let names = self.target.components();
        let distinct = (0..names.len()).filter(|k| self.target == Target::Dipole || k / 3 <= k % 3);
        let mut rows: Vec<TensorErrorRow> = distinct.map(|k| self.row(names[k], &[k])).collect();
        rows.push(self.row("all", &(0..names.len()).collect::<Vec<_>>()));
        rows
    }

    fn row(&self, component: &'static str, of: &[usize]) -> TensorErrorRow {
        let frames = self.pairs.len().max(1) as f64;
        let mut sums = [0.0; 4];
        for &k in of {
            let mean = self.pairs.iter().map(|[_, label]| label[k]).sum::<f64>() / frames;
            for [predicted, label] in &self.pairs {
                let (error, spread) = (predicted[k] - label[k], mean - label[k]);
                let terms = [error.abs(), error * error, spread.abs(), spread * spread];
                sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
        }
        let [mae, square, mae_of_mean, square_of_mean] = sums.map(|sum| sum / (frames * of.len() as f64));
        TensorErrorRow {
            component,
            count: self.pairs.len() * of.len(),
            mae,
            rmse: square.sqrt(),
            mae_of_mean,
            rmse_of_mean: square_of_mean.sqrt(),
        }
    }
}
