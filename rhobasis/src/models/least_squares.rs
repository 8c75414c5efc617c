//! tmp
use super::Solver;
use crate::Result;
use ndarray::{Array2, Array3, ArrayD, ArrayView2, Axis, concatenate, s};
use std::collections::BTreeMap;
#[derive(Debug, Clone)]
pub struct LeastSquares {
    n: usize,
    t: usize,
    rows: Vec<f64>,
    r: Array2<f64>,
    n_rows: usize,
}
#[derive(Debug, Clone)]
pub struct Factor {
    r: Array2<f64>,
    qty: Array2<f64>,
    rest: Vec<f64>,
}
impl LeastSquares {
    pub fn new(n: usize, t: usize, _s: Solver) -> Self {
        LeastSquares { n, t, rows: vec![], r: Array2::zeros((0, n + t)), n_rows: 0 }
    }
    pub fn add(&mut self, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<()> {
        for (x, y) in x.rows().into_iter().zip(y.rows()) {
            self.rows.extend(x);
            self.rows.extend(y);
            self.n_rows += 1;
            if self.rows.len() >= (2 * self.n).max(512) * (self.n + self.t) {
                self.fold();
            }
        }
        Ok(())
    }
    fn fold(&mut self) {
        let w = self.n + self.t;
        let b = Array2::from_shape_vec((self.rows.len() / w, w), std::mem::take(&mut self.rows)).unwrap();
        let both = concatenate(Axis(0), &[self.r.view(), b.view()]).unwrap();
        self.r = crate::linalg::qr_r(both.view());
    }
    pub fn factor(&self) -> Result<Factor> {
        let mut c = self.clone();
        c.fold();
        Ok(Factor::of(c.r, self.n))
    }
    pub fn to_arrays(&self) -> BTreeMap<String, ArrayD<f64>> {
        BTreeMap::new()
    }
    pub fn restore(&mut self, _a: &BTreeMap<String, ArrayD<f64>>) -> Result<()> {
        Ok(())
    }
}
impl Factor {
    fn of(r: Array2<f64>, n: usize) -> Self {
        let mut full = Array2::zeros((n, r.ncols()));
        let k = r.nrows().min(n);
        full.slice_mut(s![..k, ..]).assign(&r.slice(s![..k, ..]));
        let t = r.ncols() - n;
        let rest = (0..t).map(|j| (n..r.nrows()).map(|i| r[[i, n + j]].powi(2)).sum()).collect();
        Factor { r: full.slice(s![.., ..n]).to_owned(), qty: full.slice(s![.., n..]).to_owned(), rest }
    }
    pub fn r(&self) -> ArrayView2<'_, f64> {
        self.r.view()
    }
    pub fn stack(f: &[Factor]) -> Result<Factor> {
        let n = f[0].r.ncols();
        let parts: Vec<Array2<f64>> =
            f.iter().map(|f| concatenate(Axis(1), &[f.r.view(), f.qty.view()]).unwrap()).collect();
        let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
        Ok(Factor::of(crate::linalg::qr_r(concatenate(Axis(0), &views).unwrap().view()), n))
    }
    pub fn largest_singular_value(&self) -> f64 {
        crate::linalg::singular_values(self.r.view())[0]
    }
    pub fn ridge(&self, a: f64) -> Result<Array2<f64>> {
        let p = self.path(&[a]);
        Ok(p.index_axis(Axis(0), 0).to_owned())
    }
    pub fn path(&self, alphas: &[f64]) -> Array3<f64> {
        let (u, sv, v) = crate::linalg::svd_thin(self.r.view());
        let uy = u.t().dot(&self.qty);
        let mut out = Array3::zeros((alphas.len(), self.r.ncols(), self.qty.ncols()));
        for (k, a) in alphas.iter().enumerate() {
            let mut z = uy.clone();
            for (i, mut row) in z.rows_mut().into_iter().enumerate() {
                let f = sv[i] / (sv[i] * sv[i] + a);
                row.mapv_inplace(|x| x * f);
            }
            out.index_axis_mut(Axis(0), k).assign(&v.t().dot(&z));
        }
        out
    }
    pub fn squared_error(&self, w: ArrayView2<f64>) -> Vec<f64> {
        let d = self.r.dot(&w) - &self.qty;
        (0..d.ncols()).map(|j| d.column(j).iter().map(|x| x * x).sum::<f64>() + self.rest[j]).collect()
    }
}
