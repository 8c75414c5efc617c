//! The slope of what should be constant.

/// A straight line through a series, by least squares, added up value by value: the drift of a conserved energy.
///
/// ```
/// use rhobasis::potential::Drift;
/// let mut drift = Drift::default();
/// (0..10).for_each(|t| drift.add(f64::from(t), 3.0 - 0.5 * f64::from(t)));
/// assert!((drift.slope() + 0.5).abs() < 1e-12 && drift.fluctuation() < 1e-7);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Drift {
    n: f64,
    mean_t: f64,
    mean_y: f64,
    tt: f64,
    ty: f64,
    yy: f64,
}

impl Drift {
    /// The sums, for a file.
    pub fn to_array(&self) -> [f64; 6] {
        let Drift { n, mean_t, mean_y, tt, ty, yy } = *self;
        [n, mean_t, mean_y, tt, ty, yy]
    }

    /// From the sums.
    pub fn from_array([n, mean_t, mean_y, tt, ty, yy]: [f64; 6]) -> Self {
        Drift { n, mean_t, mean_y, tt, ty, yy }
    }

    /// One more point.
    pub fn add(&mut self, t: f64, y: f64) {
        self.n += 1.0;
        let (dt, dy) = (t - self.mean_t, y - self.mean_y);
        self.mean_t += dt / self.n;
        self.mean_y += dy / self.n;
        self.tt += dt * (t - self.mean_t);
        self.yy += dy * (y - self.mean_y);
        self.ty += dt * (y - self.mean_y);
    }

    /// Mean of the values; 0 of none.
    pub fn mean(&self) -> f64 {
        self.mean_y
    }

    /// Of the line; 0 with fewer than two points.
    pub fn slope(&self) -> f64 {
        if self.tt > 0.0 { self.ty / self.tt } else { 0.0 }
    }

    /// Standard deviation of the points about the line; 0 with fewer than three points.
    pub fn fluctuation(&self) -> f64 {
        if self.n < 3.0 {
            return 0.0;
        }
        ((self.yy - self.slope() * self.ty).max(0.0) / (self.n - 2.0)).sqrt()
    }

    /// Standard deviation of the slope, were the points independent of each other: that of a trajectory is larger.
    pub fn slope_error(&self) -> f64 {
        if self.tt > 0.0 { self.fluctuation() / self.tt.sqrt() } else { 0.0 }
    }
}
