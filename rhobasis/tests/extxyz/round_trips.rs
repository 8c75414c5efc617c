//! Any frame, any bytes.

use proptest::prelude::*;
use rhobasis::Structure;
use rhobasis::extxyz::{Options, read, write};
use rhobasis::structure::{Column, ColumnData, Value};

use super::TestFile;

fn any_real() -> impl Strategy<Value = f64> {
    let bits = any::<f64>().prop_filter("NaN is not equal to itself", |x| !x.is_nan());
    prop_oneof![bits, -1e3..1e3, Just(0.0), Just(3.0)]
}

fn any_text() -> impl Strategy<Value = String> {
    let known =
        prop::sample::select(vec!["", " ", "T", "1 2", "1_0", "nan", "_JSON [", "_JSON \"a\"", "1.0D3", "\r\n"]);
    prop_oneof!["[ -~]{0,12}", "\\PC{0,6}", any::<String>(), known.prop_map(String::from)]
}

/// Arrays of one or two dimensions.
fn array<T: Clone + std::fmt::Debug>(
    element: impl Strategy<Value = T>,
    value: fn(Vec<T>, Vec<usize>) -> Value,
) -> impl Strategy<Value = Value> {
    (prop::collection::vec(element, 1..9), any::<bool>()).prop_map(move |(x, folded)| {
        let n = x.len();
        let shape = if folded && n % 2 == 0 { vec![2, n / 2] } else { vec![n] };
        value(x, shape)
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any_real().prop_map(Value::Real),
        any_text().prop_map(Value::Text),
        array(any::<bool>(), Value::Bools),
        array(any::<i64>(), Value::Ints),
        array(any_real(), Value::Reals),
        array(any_text(), Value::Texts),
    ]
}

fn any_structure() -> impl Strategy<Value = Structure> {
    let info = prop::collection::btree_map("k[a-zA-Z_ =\"'é\\\\{}\\[\\]-]{0,8}", any_value(), 0..5);
    let cell = prop::array::uniform3(prop::array::uniform3(any_real()));
    (0..4usize, cell, any::<[bool; 3]>(), info).prop_flat_map(|(n, cell, pbc, info)| {
        let atoms = prop::collection::vec((1..=118u8, prop::array::uniform3(any_real())), n);
        let columns = (
            prop::collection::vec(any_real(), 3 * n),
            prop::collection::vec(any::<i64>(), n),
            prop::collection::vec(any::<bool>(), 2 * n),
            prop::collection::vec("[!-~é]{1,5}", n),
        );
        (atoms, columns).prop_map(move |(atoms, (r, i, l, s))| {
            let (species, positions) = atoms.into_iter().unzip();
            let columns = vec![
                Column { name: "forces".into(), width: 3, data: ColumnData::Reals(r) },
                Column { name: "tag".into(), width: 1, data: ColumnData::Ints(i) },
                Column { name: "mask".into(), width: 2, data: ColumnData::Bools(l) },
                Column { name: "name".into(), width: 1, data: ColumnData::Texts(s) },
            ];
            Structure { species, positions, cell, pbc, info: info.clone().into_iter().collect(), columns }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_frame_reads_back_equal(frames in prop::collection::vec(any_structure(), 1..4)) {
        let file = TestFile::new("a.xyz", "");
        write(&file.path, &frames).unwrap();
        let options = Options { validate: false, ..Options::default() };
        prop_assert_eq!(read(&file.path, &options).unwrap(), frames);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[ -~\n]{0,200}") {
        let frame = format!("2\n{text}\nH 0 0 0\n{text}");
        for bytes in [bytes, text.into_bytes(), frame.into_bytes()] {
            let file = TestFile::new("a.xyz", bytes);
            for slice in [":", "-1", "1:"] {
                let _ = read(file.slice(slice), &Options::default());
            }
        }
    }
}
