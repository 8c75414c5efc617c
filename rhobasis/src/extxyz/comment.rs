use crate::error::{in_quotes, shortened};
use crate::structure::Value;
use crate::{Error, Result};

/// Keys whose nine numbers ASE lays out as a 3×3 matrix in column order.
pub(super) const MATRIX_KEYS: [&str; 3] = ["Lattice", "virial", "stress"];

/// One `key=value` of the comment line, quotes and escapes resolved.
pub(super) struct Pair {
    pub key: String,
    /// `None` for a bare key, which means true.
    pub value: Option<String>,
}

/// Splits a comment line into pairs by ASE's rules: values may be quoted by `"`, `'`, `{}` or `[]`; a backslash takes
/// the next character as it is; blanks around `=` are allowed; further `=` belong to the value.
pub(super) fn pairs(line: &str) -> Result<Vec<Pair>> {
    let bytes = line.as_bytes();
    let mut pairs = Vec::with_capacity(8);
    let mut pos = skip_blanks(bytes, 0);
    while pos < bytes.len() {
        let start = pos;
        let key = word(line, &mut pos, true)?;
        let equals = skip_blanks(bytes, pos);
        let value = if bytes.get(equals) == Some(&b'=') {
            if key.is_empty() {
                return Err(Error::structure(
                    None,
                    format!("'=' without a key at {} of the comment line", in_quotes(&excerpt(&line[start..]))),
                    "write key=value, and quote values that hold blanks",
                ));
            }
            pos = skip_blanks(bytes, equals + 1);
            Some(word(line, &mut pos, false)?)
        } else {
            None
        };
        pairs.push(Pair { key, value });
        pos = skip_blanks(bytes, pos);
    }
    Ok(pairs)
}

fn skip_blanks(bytes: &[u8], mut pos: usize) -> usize {
    while bytes.get(pos).is_some_and(u8::is_ascii_whitespace) {
        pos += 1;
    }
    pos
}

/// Text up to the next blank (or `=`, in a key) outside quotes. All delimiters are ASCII, so cuts fall between
/// characters of the UTF-8 text.
fn word(line: &str, pos: &mut usize, is_key: bool) -> Result<String> {
    let bytes = line.as_bytes();
    let mut text = String::new();
    let mut run = *pos;
    let mut quote: Option<(u8, usize)> = None;
    while let Some(&b) = bytes.get(*pos) {
        match (b, quote) {
            (b'\\', _) => {
                text.push_str(&line[run..*pos]);
                run = *pos + 1;
                // The escaped character, whatever it is, joins the next run.
                *pos += 2;
                continue;
            }
            (_, Some((close, _))) if b == close => {
                text.push_str(&line[run..*pos]);
                run = *pos + 1;
                quote = None;
            }
            (_, Some(_)) => {}
            (b'"' | b'\'' | b'{' | b'[', None) => {
                text.push_str(&line[run..*pos]);
                run = *pos + 1;
                let close = match b {
                    b'{' => b'}',
                    b'[' => b']',
                    same => same,
                };
                quote = Some((close, *pos));
            }
            (b'=', None) if is_key => break,
            (_, None) if b.is_ascii_whitespace() => break,
            _ => {}
        }
        *pos += 1;
    }
    *pos = (*pos).min(bytes.len());
    if let Some((close, start)) = quote {
        return Err(Error::structure(
            None,
            format!("unterminated quote at {} of the comment line", in_quotes(&excerpt(&line[start..]))),
            format!("close it with {}, or write a literal quote as \\\"", close as char),
        ));
    }
    text.push_str(&line[run.min(*pos)..*pos]);
    Ok(text)
}

/// The beginning of a text, for messages.
pub(super) fn excerpt(text: &str) -> String {
    shortened(text, 60)
}

/// The value that ASE would read: integers, reals or logicals if all words are, JSON after `_JSON`, else text.
pub(super) fn value(key: &str, text: String) -> Value {
    if is_plain_text(key) {
        return Value::Text(text);
    }
    let value = recognised(&text).unwrap_or(Value::Text(text));
    if MATRIX_KEYS.contains(&key) {
        return match value {
            Value::Ints(x, shape) if x.len() == 9 && shape.len() == 1 => Value::Ints(transpose(&x), vec![3, 3]),
            Value::Reals(x, shape) if x.len() == 9 && shape.len() == 1 => Value::Reals(transpose(&x), vec![3, 3]),
            other => other,
        };
    }
    value
}

/// ASE takes this one key as it is, were it a number.
fn is_plain_text(key: &str) -> bool {
    key.eq_ignore_ascii_case("uid")
}

/// Transpose of a 3×3 matrix.
pub(super) fn transpose<T: Copy>(x: &[T]) -> Vec<T> {
    (0..9).map(|i| x[3 * (i % 3) + i / 3]).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || c == ',').filter(|w| !w.is_empty())
}

/// The value of a text that is more than text.
fn recognised(text: &str) -> Option<Value> {
    let mut all = words(text);
    let first = all.next()?;
    if all.next().is_none() {
        let integer = first.parse().ok().map(Value::Int);
        return integer.or_else(|| real(first).map(Value::Real)).or_else(|| logical(first).map(Value::Bool));
    }
    // One look at the first word spares the other attempts on ordinary text.
    if real(first).is_some() {
        let integers: Option<Vec<i64>> = words(text).map(|w| w.parse().ok()).collect();
        if let Some(x) = integers {
            let shape = vec![x.len()];
            return Some(Value::Ints(x, shape));
        }
        let x = words(text).map(real).collect::<Option<Vec<f64>>>()?;
        let shape = vec![x.len()];
        return Some(Value::Reals(x, shape));
    }
    if logical(first).is_some() {
        let x = words(text).map(logical).collect::<Option<Vec<bool>>>()?;
        let shape = vec![x.len()];
        return Some(Value::Bools(x, shape));
    }
    text.strip_prefix("_JSON ").and_then(json_value)
}

/// A real number: anything Rust and Python agree on, and a Fortran exponent after a decimal point.
pub(super) fn real(word: &str) -> Option<f64> {
    if let Ok(x) = fast_float2::parse::<f64, _>(word) {
        return Some(x);
    }
    (word.contains('.') && word.contains(['d', 'D']))
        .then(|| word.replace(['d', 'D'], "e"))
        .and_then(|w| fast_float2::parse::<f64, _>(&w).ok())
}

pub(super) fn logical(word: &str) -> Option<bool> {
    match word {
        "T" | "true" | "True" | "TRUE" => Some(true),
        "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A rectangular JSON array, or a scalar, of one type; `None` for anything else (kept as text).
fn json_value(text: &str) -> Option<Value> {
    let mut leaves = Vec::new();
    let mut shape = Vec::new();
    let rest = json_array(text.trim(), 0, &mut leaves, &mut shape)?;
    if !rest.trim().is_empty() {
        return None;
    }
    if shape.is_empty() {
        return match *leaves.first()? {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            leaf if leaf.starts_with('"') => serde_json::from_str(leaf).ok().map(Value::Text),
            leaf => leaf.parse().ok().map(Value::Int).or_else(|| json_real(leaf).map(Value::Real)),
        };
    }
    if leaves.is_empty() {
        return Some(Value::Reals(Vec::new(), shape));
    }
    let each = || leaves.iter().copied();
    if let Some(x) = each().map(|w| w.parse().ok()).collect() {
        return Some(Value::Ints(x, shape));
    }
    if let Some(x) = each().map(json_real).collect() {
        return Some(Value::Reals(x, shape));
    }
    if let Some(x) = each().map(|w| w.parse().ok()).collect() {
        return Some(Value::Bools(x, shape));
    }
    each().map(|w| serde_json::from_str(w).ok()).collect::<Option<_>>().map(|x| Value::Texts(x, shape))
}

/// JSON numbers and the `NaN`, `Infinity` that Python's `json` writes (serde_json refuses them).
fn json_real(leaf: &str) -> Option<f64> {
    let number = leaf.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    (number || matches!(leaf, "NaN" | "Infinity")).then(|| real(leaf)).flatten()
}

/// Nested arrays whose sub-arrays have equal shapes: collects the scalars, and the length at each depth.
fn json_array<'a>(text: &'a str, depth: usize, leaves: &mut Vec<&'a str>, shape: &mut Vec<usize>) -> Option<&'a str> {
    let Some(mut rest) = text.strip_prefix('[') else {
        // A scalar is only right below the deepest array seen so far.
        if depth != shape.len() {
            return None;
        }
        let end = scalar_end(text)?;
        leaves.push(&text[..end]);
        return Some(&text[end..]);
    };
    const DEEPEST: usize = 16;
    let first_visit = depth == shape.len();
    if depth >= DEEPEST || (first_visit && !leaves.is_empty()) {
        return None;
    }
    if first_visit {
        shape.push(usize::MAX);
    }
    let mut count = 0;
    rest = rest.trim_start();
    if let Some(end) = rest.strip_prefix(']') {
        rest = end;
    } else {
        loop {
            rest = json_array(rest.trim_start(), depth + 1, leaves, shape)?.trim_start();
            count += 1;
            if let Some(next) = rest.strip_prefix(',') {
                rest = next;
            } else {
                rest = rest.strip_prefix(']')?;
                break;
            }
        }
    }
    if shape[depth] == usize::MAX {
        shape[depth] = count;
    }
    (shape[depth] == count).then_some(rest)
}

fn scalar_end(text: &str) -> Option<usize> {
    if !text.starts_with('"') {
        let end = text.find([',', ']']).unwrap_or(text.len());
        let end = text[..end].trim_end().len();
        return (end > 0).then_some(end);
    }
    let mut escaped = false;
    for (i, b) in text.bytes().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(i + 1),
            _ => {}
        }
    }
    None
}

/// The `key=value` that ASE and [`pairs`] + [`value`] read back as the same value.
pub(super) fn pair_text(key: &str, value: &Value) -> Result<String> {
    if key.is_empty() || matches!(key, "Lattice" | "Properties" | "pbc") || key.contains(['\n', '\r']) {
        return Err(Error::structure(
            None,
            format!("info key {} cannot be written", in_quotes(key)),
            "rename it: Lattice, Properties and pbc come from the structure, and a key is one line of text",
        ));
    }
    let text = match value {
        Value::Text(text) if is_plain_text(key) && !text.contains(char::is_control) => text.clone(),
        value if MATRIX_KEYS.contains(&key) => matrix_text(key, value)?,
        value => value_text(value),
    };
    Ok(format!("{}={}", quoted(key), quoted(&text)))
}

/// `stress` and `virial`: nine numbers in ASE's column order, whatever form they came in.
fn matrix_text(key: &str, value: &Value) -> Result<String> {
    let numbers: Option<Vec<String>> = match value {
        Value::Reals(x, _) => Some(x.iter().map(|x| format!("{x:?}")).collect()),
        Value::Ints(x, _) => Some(x.iter().map(i64::to_string).collect()),
        _ => None,
    };
    match numbers {
        Some(x) if x.len() == 9 => {
            let x: Vec<&str> = x.iter().map(String::as_str).collect();
            Ok(transpose(&x).join(" "))
        }
        Some(x) if x.len() == 6 => Ok([0, 5, 4, 5, 1, 3, 4, 3, 2].map(|i| x[i].as_str()).join(" ")),
        _ => Err(Error::structure(
            None,
            format!("{key} = {value} is no 3×3 matrix"),
            format!("give {key} nine numbers, or six in the order xx,yy,zz,yz,xz,xy, or rename it"),
        )),
    }
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Bool(b) => logical_text(*b).to_string(),
        Value::Int(i) => i.to_string(),
        Value::Real(x) => format!("{x:?}"),
        Value::Text(t) => free_text(t),
        Value::Bools(x, shape) => array_text(x, shape, |b| logical_text(*b).to_string(), bool::to_string),
        Value::Ints(x, shape) => array_text(x, shape, i64::to_string, i64::to_string),
        Value::Reals(x, shape) => array_text(x, shape, |x| format!("{x:?}"), |x| json_real_text(*x)),
        Value::Texts(x, shape) => format!("_JSON {}", nested(x, shape, &|t| json_text(t))),
    }
}

pub(super) fn logical_text(b: bool) -> &'static str {
    if b { "T" } else { "F" }
}

fn json_real_text(x: f64) -> String {
    match x {
        x if x.is_nan() => "NaN".to_string(),
        x if x.is_infinite() => if x > 0.0 { "Infinity" } else { "-Infinity" }.to_string(),
        x => format!("{x:?}"),
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Words for a vector of two or more; JSON for one element, which would read back as a scalar, and for matrices.
fn array_text<T>(x: &[T], shape: &[usize], word: impl Fn(&T) -> String, json: impl Fn(&T) -> String) -> String {
    if shape.len() == 1 && x.len() > 1 {
        return x.iter().map(word).collect::<Vec<_>>().join(" ");
    }
    format!("_JSON {}", nested(x, shape, &json))
}

fn nested<T>(x: &[T], shape: &[usize], leaf: &impl Fn(&T) -> String) -> String {
    match shape {
        [] => x.first().map(leaf).unwrap_or_default(),
        [rows, inner @ ..] => {
            let size = inner.iter().product::<usize>();
            let rows = (0..*rows).map(|i| nested(&x[i * size..(i + 1) * size], inner, leaf));
            format!("[{}]", rows.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text as it is where it reads back as that text, else as a JSON string: `T`, `12`, empty, or with a line break.
fn free_text(text: &str) -> String {
    // Python takes underscores inside numbers.
    let number_for_python = words(text).all(|w| real(&w.replace('_', "")).is_some());
    let broken_json =
        text.strip_prefix("_JSON ").is_some_and(|t| serde_json::from_str::<serde_json::Value>(t).is_err());
    let as_it_is = !text.trim().is_empty()
        && !text.chars().any(char::is_control)
        && !number_for_python
        && !broken_json
        && recognised(text).is_none();
    if as_it_is { text.to_string() } else { format!("_JSON {}", json_text(text)) }
}

/// Quotes a key or value where it holds more than letters, digits and harmless signs.
fn quoted(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-+./:*()".contains(&b)) {
        return text.to_string();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
