//! CUR, farthest point sampling and reconstruction measures, against scikit-matter (reference/selection_metrics) and loops.

use std::path::Path;

use ndarray::{Array2, ArrayView2, Axis as NdAxis, s};
use rhobasis::linalg::{eigh, matmul, qr_r, svd_thin};
use rhobasis::metrics::{self, Split, gfrd, gfre, lfre};
use rhobasis::selection::{Axis, CurSettings, cur, cur_gram, fps, fps_gram};
use safetensors::{Dtype, SafeTensors};

struct Reference(Vec<u8>);

impl Reference {
    fn load() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reference/selection_metrics/values.safetensors");
        Reference(std::fs::read(path).unwrap())
    }

    fn numbers(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let words = tensor.data().chunks_exact(8).map(|b| b.try_into().unwrap());
        let values = match tensor.dtype() {
            Dtype::F64 => words.map(f64::from_le_bytes).collect(),
            Dtype::I64 => words.map(|b| i64::from_le_bytes(b) as f64).collect(),
            other => panic!("{name} is {other:?}"),
        };
        (tensor.shape().to_vec(), values)
    }

    fn matrix(&self, name: &str) -> Array2<f64> {
        let (shape, values) = self.numbers(name);
        Array2::from_shape_vec((shape[0], shape[1]), values).unwrap()
    }

    fn indices(&self, name: &str) -> Vec<usize> {
        self.numbers(name).1.into_iter().map(|x| x as usize).collect()
    }

    fn number(&self, name: &str) -> f64 {
        self.numbers(name).1[0]
    }
}

/// Numbers without pattern in columns of falling length.
fn falling(rows: usize, columns: usize, rate: f64) -> Array2<f64> {
    let mut state = 1_u64;
    Array2::from_shape_fn((rows, columns), |(_, j)| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) as f64 / 2f64.powi(31) * 2.0 - 1.0) * rate.powi(j as i32)
    })
}

/// CUR as it is written: all singular vectors anew for each column.
fn naive_cur(x: ArrayView2<f64>, n: usize, k: usize) -> Vec<usize> {
    let mut x = x.to_owned();
    let mut chosen = Vec::new();
    for _ in 0..n {
        let (_, _, v) = svd_thin(x.view());
        let pi = v.slice(s![..k, ..]).mapv(|v| v * v).sum_axis(NdAxis(0));
        let left = (0..x.ncols()).filter(|j| !chosen.contains(j));
        let best = left.fold(None, |best: Option<usize>, j| best.filter(|&b| pi[b] >= pi[j]).or(Some(j))).unwrap();
        let q = x.column(best).to_owned() / x.column(best).dot(&x.column(best)).sqrt();
        let products = q.dot(&x);
        x.rows_mut().into_iter().zip(&q).for_each(|(mut row, q)| row -= &(&products * *q));
        chosen.push(best);
    }
    chosen
}

#[test]
fn cur_and_fps_choose_as_scikit_matter() {
    let reference = Reference::load();
    let settings = |k, recompute_every| CurSettings { k, recompute_every };
    for (axis, name) in [(Axis::Features, "features"), (Axis::Samples, "samples")] {
        let x = reference.matrix("random/X");
        let chosen = cur(x.view(), 10, axis, CurSettings::default()).unwrap();
        assert_eq!(chosen.indices, reference.indices(&format!("random/cur_{name}")));
        assert_eq!(fps(x.view(), 10, axis, 0).unwrap().indices, reference.indices(&format!("random/fps_{name}")));
        let z = reference.matrix("Z");
        for (case, settings) in
            [("k1", settings(1, 1)), ("k3", settings(3, 1)), ("k2_by_4", settings(2, 4)), ("one_shot", settings(1, 0))]
        {
            let chosen = cur(z.view(), 10, axis, settings).unwrap();
            assert_eq!(chosen.indices, reference.indices(&format!("cur_{name}_{case}")), "{name} {case}");
        }
        for (start, case) in [(0, ""), (3, "_from_3")] {
            let expected = reference.indices(&format!("fps_{name}{case}"));
            assert_eq!(fps(z.view(), 10, axis, start).unwrap().indices, expected, "{name} from {start}");
        }
    }
    let x = reference.matrix("random/X");
    let one_shot = cur(x.view(), 10, Axis::Features, settings(1, 0)).unwrap();
    assert_eq!(one_shot.indices, reference.indices("random/cur_features_one_shot"));
}

#[test]
fn the_gram_matrix_chooses_what_the_matrix_chooses() {
    let x = Reference::load().matrix("random/X");
    let gram = [matmul(x.t(), x.view()), matmul(x.view(), x.t())];
    for (gram, axis) in gram.iter().zip([Axis::Features, Axis::Samples]) {
        for settings in [CurSettings::default(), CurSettings { k: 3, recompute_every: 2 }] {
            let (a, b) = (cur(x.view(), 12, axis, settings).unwrap(), cur_gram(gram.view(), 12, settings).unwrap());
            assert_eq!(a.indices, b.indices);
            a.scores.iter().zip(&b.scores).for_each(|(a, b)| assert!((a - b).abs() < 1e-7, "{a} {b}"));
        }
        let (a, b) = (fps(x.view(), 12, axis, 2).unwrap(), fps_gram(gram.view(), 12, 2).unwrap());
        assert_eq!(a.indices, b.indices);
    }
}

#[test]
fn leading_vectors_by_products_choose_what_full_decompositions_choose() {
    for (rows, columns, rate, k) in
        [(150, 100, 1.0, 1), (90, 200, 0.97, 1), (150, 100, 0.8, 1), (120, 120, 0.95, 4), (300, 60, 1.0, 5)]
    {
        let x = falling(rows, columns, rate);
        let settings = CurSettings { k, recompute_every: 1 };
        let chosen = cur(x.view(), 25, Axis::Features, settings).unwrap();
        assert_eq!(chosen.indices, naive_cur(x.view(), 25, k), "{rows} × {columns}, {rate}, k = {k}");
        let transposed = cur(x.t(), 25, Axis::Samples, settings).unwrap();
        assert_eq!(chosen.indices, transposed.indices);
    }
}

#[test]
fn columns_of_zeros_and_columns_that_depend_on_others_are_never_chosen() {
    let x = falling(220, 60, 0.9);
    let mut y = Array2::zeros((220, 180));
    y.slice_mut(s![.., 30..90]).assign(&x);
    y.slice_mut(s![.., 120..150]).assign(&(&x.slice(s![.., ..30]) + &x.slice(s![.., 30..])));
    for (axis, y) in [(Axis::Features, y.view()), (Axis::Samples, y.t())] {
        let chosen = cur(y, 180, axis, CurSettings::default()).unwrap().indices;
        assert_eq!(chosen.len(), 60, "the rank");
        assert!(chosen.iter().all(|j| (30..90).contains(j) || (120..150).contains(j)), "{chosen:?}");
        assert_eq!(chosen[..30], naive_cur(if axis == Axis::Features { y } else { y.t() }, 30, 1));
    }
}

#[test]
fn unconnected_blocks_are_all_seen() {
    // The leading vectors of one block are orthogonal to all of the other.
    let (a, b) = (falling(80, 60, 0.9), falling(80, 60, 0.93));
    let mut x = Array2::zeros((160, 120));
    x.slice_mut(s![..80, ..60]).assign(&a);
    x.slice_mut(s![80.., 60..]).assign(&b);
    let chosen = cur(x.view(), 30, Axis::Features, CurSettings::default()).unwrap();
    assert_eq!(chosen.indices, naive_cur(x.view(), 30, 1));
}

#[test]
fn equal_columns_the_first_is_chosen_and_the_other_never() {
    let x = falling(40, 6, 0.7);
    let twice = ndarray::concatenate![NdAxis(1), x, x];
    let chosen = cur(twice.view(), 12, Axis::Features, CurSettings::default()).unwrap();
    let mut sorted = chosen.indices.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 2, 3, 4, 5], "rank 6 allows 6");
    let chosen = fps(twice.view(), 12, Axis::Features, 7).unwrap();
    assert_eq!(chosen.indices.len(), 6);
}

#[test]
fn farthest_samples_of_clusters_are_those_of_all_distances() {
    // Clusters of very different sizes, of which most distances need not be computed.
    let (centers, spread) = (falling(9, 20, 0.8), falling(450, 20, 0.7));
    let x = Array2::from_shape_fn((450, 20), |(i, j)| {
        centers[[i * i % 9, j]] + 10.0_f64.powi(-(i as i32 % 5)) * spread[[i, j]]
    });
    let distance = |i: usize, j: usize| (&x.row(i) - &x.row(j)).mapv(|d| d * d).sum();
    let (mut nearest, mut j) = (vec![f64::INFINITY; 450], 3);
    let chosen = fps(x.view(), 200, Axis::Samples, j).unwrap();
    for (index, score) in chosen.indices.iter().zip(&chosen.scores) {
        assert_eq!(*index, j);
        assert!(*score == nearest[j] || (score - nearest[j]).abs() < 1e-12 * nearest[j], "{score} {}", nearest[j]);
        (0..450).for_each(|i| nearest[i] = nearest[i].min(distance(i, j)));
        j = (0..450).max_by(|&a, &b| nearest[a].total_cmp(&nearest[b])).unwrap();
    }
    assert_eq!(chosen.indices.len(), 200);
}

#[test]
fn small_directions_keep_their_order() {
    // 1e-12 of the largest: beyond what squares could tell.
    let x = falling(80, 60, 0.62);
    let chosen = cur(x.view(), 55, Axis::Features, CurSettings::default()).unwrap();
    assert_eq!(chosen.indices, naive_cur(x.view(), 55, 1));
}

#[test]
fn the_size_of_the_numbers_does_not_matter() {
    let x = falling(90, 60, 0.9);
    let gram = matmul(x.t(), x.view());
    for size in [1e-280_f64, 1e-200, 1e-150, 1e-60, 1e60, 1e150, 1e200, 1e300] {
        // A power of two, so that no digit is lost.
        let size = 2f64.powi(size.log2().round() as i32);
        let (y, of_y) = (&x * size, &gram * size);
        for axis in [Axis::Features, Axis::Samples] {
            for settings in [CurSettings::default(), CurSettings { k: 3, recompute_every: 2 }] {
                assert_eq!(
                    cur(y.view(), 12, axis, settings).unwrap(),
                    cur(x.view(), 12, axis, settings).unwrap(),
                    "{size:e}"
                );
            }
            let (ours, theirs) = (fps(y.view(), 12, axis, 1).unwrap(), fps(x.view(), 12, axis, 1).unwrap());
            assert_eq!(ours.indices, theirs.indices, "{size:e}");
            for (score, expected) in ours.scores.iter().zip(&theirs.scores) {
                assert_eq!(*score, expected * size * size, "{size:e}");
            }
        }
        let settings = CurSettings::default();
        assert_eq!(
            cur_gram(of_y.view(), 12, settings).unwrap(),
            cur_gram(gram.view(), 12, settings).unwrap(),
            "{size:e}"
        );
        let (ours, theirs) = (fps_gram(of_y.view(), 12, 1).unwrap(), fps_gram(gram.view(), 12, 1).unwrap());
        assert_eq!(ours.indices, theirs.indices, "{size:e}");
        assert_eq!(ours.scores[3], theirs.scores[3] * size, "{size:e}");
    }
}

#[test]
fn measures_of_very_large_and_small_numbers_are_those_of_ordinary_ones() {
    let (x, rows): (_, Vec<usize>) = (falling(40, 6, 0.8), (0..40).collect());
    let y = x.slice(s![.., ..3]).mapv(|x| x * x) + x.slice(s![.., 3..]);
    let split = Split { train: &rows[..20], test: &rows[20..], folds: [&rows[..10], &rows[10..20]] };
    let target: Vec<f64> = x.column(0).to_vec();
    let predicted: Vec<f64> = x.column(0).iter().zip(x.column(4)).map(|(x, e)| x + 0.1 * e).collect();
    for size in [2f64.powi(-700), 2f64.powi(660)] {
        let (a, b) = (&x * size, &y * size);
        assert_eq!(gfre(a.view(), y.view(), split).unwrap(), gfre(x.view(), y.view(), split).unwrap());
        assert_eq!(gfrd(x.view(), b.view(), split).unwrap(), gfrd(x.view(), y.view(), split).unwrap());
        let folds: [&[usize]; 2] = [&[0, 2, 4], &[1, 3, 5]];
        assert_eq!(
            lfre(a.view(), b.view(), 6, split, folds).unwrap(),
            lfre(x.view(), y.view(), 6, split, folds).unwrap()
        );
        let residual = |x: &Array2<f64>| metrics::residual_variance(x.view(), x.slice(s![.., ..2])).unwrap();
        assert_eq!(residual(&a), residual(&x));
        let [t, p] = [&target, &predicted].map(|v| v.iter().map(|x| x * size).collect::<Vec<f64>>());
        assert_eq!(metrics::rmse(&t, &p).unwrap(), metrics::rmse(&target, &predicted).unwrap() * size);
        assert_eq!(metrics::r2(&t, &p).unwrap(), metrics::r2(&target, &predicted).unwrap());
        assert_eq!(metrics::percent_rmse(&t, &p).unwrap(), metrics::percent_rmse(&target, &predicted).unwrap());
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let x = falling(700, 300, 0.99);
    let run = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| {
            (
                cur(x.view(), 20, Axis::Samples, CurSettings::default()).unwrap(),
                fps(x.view(), 20, Axis::Features, 0).unwrap(),
            )
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn refusals_name_the_value() {
    let x = falling(5, 4, 1.0);
    let settings = CurSettings::default();
    let messages = [
        cur(x.view(), 5, Axis::Features, settings).unwrap_err(),
        cur(x.view(), 0, Axis::Features, settings).unwrap_err(),
        cur(x.view(), 1, Axis::Features, CurSettings { k: 0, ..settings }).unwrap_err(),
        cur(x.mapv(|x| x / 0.0).view(), 1, Axis::Features, settings).unwrap_err(),
        cur_gram(x.view(), 1, settings).unwrap_err(),
        fps(x.view(), 2, Axis::Samples, 5).unwrap_err(),
    ]
    .map(|e| e.to_string());
    for (message, word) in messages.iter().zip(["n = 5", "n = 0", "k = 0", "not finite", "5 × 4", "start = 5"]) {
        assert!(message.contains(word), "{message}");
    }
}

struct OwnedSplit {
    train: Vec<usize>,
    test: Vec<usize>,
    folds: [Vec<usize>; 2],
}

impl OwnedSplit {
    fn default_of(reference: &Reference, n: usize) -> Self {
        let get = |name: &str, n: usize, end: &str| reference.indices(&format!("{name}{n}{end}"));
        let train = get("train", n, "");
        let folds = ["_a", "_b"].map(|end| get("folds", 30, end));
        OwnedSplit { train, test: get("test", n, ""), folds }
    }

    fn view(&self) -> Split<'_> {
        Split { train: &self.train, test: &self.test, folds: [&self.folds[0], &self.folds[1]] }
    }
}

#[test]
fn reconstruction_measures_are_those_of_scikit_matter() {
    let reference = Reference::load();
    let (f, y) = (reference.matrix("F"), reference.matrix("Y"));
    let split = OwnedSplit::default_of(&reference, 60);
    let near = |value: f64, name: &str| {
        let expected = reference.number(name);
        assert!((value - expected).abs() < 1e-8 * expected.max(1.0), "{name}: {value} instead of {expected}");
    };
    let (f3, f4) = (f.slice(s![.., ..3]), f.slice(s![.., ..4]));
    for (name, a, b) in [("F_to_Y", f.view(), y.view()), ("F4_to_F", f4, f.view()), ("F3_to_Y", f3, y.view())] {
        near(gfre(a, b, split.view()).unwrap(), &format!("gfre_{name}"));
        near(gfrd(a, b, split.view()).unwrap(), &format!("gfrd_{name}"));
        for n in [5, 12] {
            let folds = ["_a", "_b"].map(|end| reference.indices(&format!("folds{n}{end}")));
            let value = lfre(a, b, n, split.view(), [&folds[0], &folds[1]]).unwrap();
            near(value, &format!("lfre{n}_{name}"));
        }
    }
    let even = OwnedSplit {
        train: (0..60).step_by(2).collect(),
        test: (1..60).step_by(2).collect(),
        folds: split.folds.clone(),
    };
    near(gfre(f4, f.view(), even.view()).unwrap(), "gfre_F4_to_F_even_odd");
    near(gfrd(f4, f.view(), even.view()).unwrap(), "gfrd_F4_to_F_even_odd");
    assert!(gfre(f.view(), f.view(), split.view()).unwrap() < 1e-12);
    assert!(gfre(y.view(), f.view(), even.view()).unwrap() < 1e-12);
}

#[test]
fn a_rotation_is_no_distortion() {
    let reference = Reference::load();
    let f = reference.matrix("F");
    let split = OwnedSplit::default_of(&reference, 60);
    let (_, rotation) = eigh(matmul(f.t(), f.view()).view());
    let rotated = matmul(f.view(), rotation.t());
    assert!(gfrd(f.view(), rotated.view(), split.view()).unwrap() < 1e-12);
    // Fewer columns: what Q leaves in the columns of zeros counts.
    let distorted = gfrd(f.view(), f.slice(s![.., ..2]), split.view()).unwrap();
    assert!(distorted > 0.1, "{distorted}");
}

#[test]
fn a_reconstruction_does_not_depend_on_offset_and_scale() {
    let reference = Reference::load();
    let (f, y) = (reference.matrix("F"), reference.matrix("Y"));
    let split = OwnedSplit::default_of(&reference, 60);
    let plain = gfre(f.view(), y.view(), split.view()).unwrap();
    // So small that an absolute threshold on the variance would refuse it.
    let scaled = gfre(f.mapv(|x| 1e-9 * x + 1e-8).view(), y.mapv(|y| 7.0 * y - 3.0).view(), split.view()).unwrap();
    assert!((plain - scaled).abs() < 1e-9, "{plain} {scaled}");
    let constant = gfre(f.mapv(|_| 2.0).view(), y.view(), split.view()).unwrap_err().to_string();
    assert!(constant.contains("the same in all train rows"), "{constant}");
}

#[test]
fn errors_of_predictions_by_hand() {
    let (target, predicted) = ([1.0, 2.0, 3.0, 6.0], [2.0, 2.0, 2.0, 4.0]);
    assert_eq!(metrics::rmse(&target, &predicted).unwrap(), 1.5_f64.sqrt());
    assert_eq!(metrics::mae(&target, &predicted).unwrap(), 1.0);
    assert_eq!(metrics::r2(&target, &predicted).unwrap(), 1.0 - 1.5 / 3.5);
    let percent = metrics::percent_rmse(&target, &predicted).unwrap();
    assert!((percent - 100.0 * (1.5_f64 / 3.5).sqrt()).abs() < 1e-12);
    assert!(metrics::rmse(&target, &predicted[..3]).is_err());
    assert!(metrics::r2(&[1.0, 1.0], &[1.0, 2.0]).is_err());
    let all = ndarray::array![[3.0, 4.0]];
    assert_eq!(metrics::residual_variance(all.view(), ndarray::array![[3.0]].view()).unwrap(), 16.0 / 25.0);
}

#[test]
fn factorisations_give_the_matrix_back() {
    for (rows, columns) in [(7, 4), (4, 7), (5, 5)] {
        let a = falling(rows, columns, 0.9);
        let (u, sigma, v) = svd_thin(a.view());
        let us = &u * &ndarray::Array1::from(sigma);
        assert!((matmul(us.view(), v.view()) - &a).iter().all(|x| x.abs() < 1e-14));
        let r = qr_r(a.view());
        assert!((matmul(r.t(), r.view()) - matmul(a.t(), a.view())).iter().all(|x| x.abs() < 1e-13));
    }
}
