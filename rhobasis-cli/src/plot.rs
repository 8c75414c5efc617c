//! Pictures: panels of lines in one SVG file. Everything that knows the plotting crate is here.

use std::ops::Range;
use std::path::Path;

use plotters::coord::ranged1d::{BoldPoints, DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use rhobasis::{Error, Result};

use crate::output;

/// Okabe and Ito's colours, told apart by all eyes.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(70, 70, 70),
];

const PANEL: (u32, u32) = (430, 320);
/// The crate rounds to whole pixels: everything is drawn this much larger and shown smaller, so that curves are smooth.
const FINER: u32 = 8;

/// One curve.
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    drawn: Drawing,
}

#[derive(Clone, Copy, PartialEq)]
enum Drawing {
    Line,
    /// A line through points that are shown.
    Marked,
    /// Many small points without a line,
    Dots,
    /// or a few that are to be seen.
    Points,
}

impl Series {
    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Series { name: name.into(), points, drawn: Drawing::Line }
    }

    /// A curve whose points are shown.
    pub fn marked(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Series { name: name.into(), points, drawn: Drawing::Marked }
    }

    /// Points alone, many of them.
    pub fn dots(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Series { name: name.into(), points, drawn: Drawing::Dots }
    }

    /// Points alone, a few.
    pub fn points(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Series { name: name.into(), points, drawn: Drawing::Points }
    }
}

/// One pair of axes with its curves.
pub struct Panel {
    title: String,
    x: String,
    y: String,
    log_y: bool,
    log_x: bool,
    diagonal: bool,
    series: Vec<Series>,
    vertical: Option<(f64, String)>,
}

impl Panel {
    pub fn new(title: impl Into<String>, x: impl Into<String>, y: impl Into<String>) -> Self {
        Panel {
            title: title.into(),
            x: x.into(),
            y: y.into(),
            log_y: false,
            log_x: false,
            diagonal: false,
            series: Vec::new(),
            vertical: None,
        }
    }

    /// Logarithmic y: what is not positive is left out.
    pub fn log_y(mut self) -> Self {
        self.log_y = true;
        self
    }

    /// Both axes logarithmic, with ticks at plain numbers; what is not positive is left out.
    pub fn log_log(mut self) -> Self {
        (self.log_x, self.log_y) = (true, true);
        self
    }

    /// One range for both axes, and the line y = x.
    pub fn diagonal(mut self) -> Self {
        self.diagonal = true;
        self
    }

    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// A dashed line at x.
    pub fn vertical(mut self, x: f64, name: impl Into<String>) -> Self {
        self.vertical = Some((x, name.into()));
        self
    }
}

/// Writes the panels, row by row in `columns` columns.
pub fn write(path: &Path, panels: &[Panel], columns: usize) -> Result<()> {
    let columns = columns.min(panels.len()).max(1);
    let rows = panels.len().div_ceil(columns).max(1);
    let mut svg = String::new();
    draw(&mut svg, panels, rows, columns)
        .map_err(|e| Error::file(path, format!("the picture cannot be drawn ({e})"), "use --csv for the numbers"))?;
    let (width, height) = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
    let large = format!("<svg width=\"{}\" height=\"{}\"", width * FINER, height * FINER);
    output::write_text(path, &svg.replacen(&large, &format!("<svg width=\"{width}\" height=\"{height}\""), 1))
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn draw(svg: &mut String, panels: &[Panel], rows: usize, columns: usize) -> Drawn {
    let root = SVGBackend::with_string(svg, (FINER * PANEL.0 * columns as u32, FINER * PANEL.1 * rows as u32))
        .into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((rows, columns)).iter().zip(panels) {
        draw_panel(area, panel)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(area: &DrawingArea<SVGBackend, plotters::coord::Shift>, panel: &Panel) -> Drawn {
    // A logarithmic axis is drawn as a linear one of log10, with labels at whole powers, or at plain numbers.
    let on = |x: f64, log: bool| if log { x.log10() } else { x };
    let scaled = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let places = points.iter().map(|&(x, y)| (on(x, panel.log_x), on(y, panel.log_y)));
        places.filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    };
    let curves: Vec<Vec<(f64, f64)>> = panel.series.iter().map(|s| scaled(&s.points)).collect();
    let of_points = panel.series.iter().any(|series| series.drawn == Drawing::Points);
    let mut xs = range(curves.iter().flatten().map(|p| p.0), if of_points { 0.06 } else { 0.0 });
    let mut ys = range(curves.iter().flatten().map(|p| p.1), if panel.log_y { 0.0 } else { 0.06 });
    if panel.log_y {
        ys = ys.start.floor()..(ys.end.ceil().max(ys.start.floor() + 1.0));
    }
    let mut ticks = None;
    if panel.log_x {
        let x = plain_axis(range(curves.iter().flatten().map(|p| p.0), 0.0));
        let y = plain_axis(range(curves.iter().flatten().map(|p| p.1), 0.0));
        (xs, ys) = (x[0]..x[x.len() - 1], y[0]..y[y.len() - 1]);
        ticks = Some((x, y));
    }
    if panel.diagonal {
        let both = range(curves.iter().flatten().flat_map(|p| [p.0, p.1]), 0.04);
        (xs, ys) = (both.clone(), both);
    }
    if of_points {
        ys.end += 0.3 * (ys.end - ys.start); // for the legend
    }
    let n_y = if panel.log_y { ((ys.end - ys.start) as usize).min(8) + 1 } else { 7 };
    let (x_ticks, y_ticks) = ticks.unwrap_or_else(|| (usual_ticks(&xs, 8), usual_ticks(&ys, n_y)));
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 16 * FINER))
        .margin(10 * FINER)
        .x_label_area_size(38 * FINER)
        .y_label_area_size(58 * FINER)
        .build_cartesian_2d(Axis::new(&xs, x_ticks), Axis::new(&ys, y_ticks))?;
    let power = |y: &f64| if (y - y.round()).abs() < 1e-6 { power_of_ten(y.round() as i32) } else { String::new() };
    let plain = |y: &f64| format!("{}", (y * 1e6).round() / 1e6 + 0.0); // + 0.0: no "-0"
    let number = |log: &f64| plain_number(*log);
    let x_label: &dyn Fn(&f64) -> String = if panel.log_x { &number } else { &plain };
    let y_label: &dyn Fn(&f64) -> String = match (panel.log_x, panel.log_y) {
        (true, _) => &number,
        (false, true) => &power,
        (false, false) => &plain,
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.08).stroke_width(FINER))
        .axis_style(BLACK.stroke_width(FINER))
        .set_all_tick_mark_size(4 * FINER)
        .axis_desc_style(("sans-serif", 14 * FINER))
        .label_style(("sans-serif", 12 * FINER))
        .x_desc(&panel.x)
        .y_desc(&panel.y)
        .x_labels(8)
        .y_labels(n_y)
        .x_label_formatter(&x_label)
        .y_label_formatter(&y_label)
        .draw()?;
    if panel.diagonal {
        let line = [(xs.start, ys.start), (xs.end, ys.end)];
        chart.draw_series(LineSeries::new(line, BLACK.mix(0.4).stroke_width(FINER)))?;
    }
    if let Some((x, name)) = &panel.vertical {
        let x = on(*x, panel.log_x);
        let dashes = DashedLineSeries::new(
            [(x, ys.start), (x, ys.end)],
            4 * FINER,
            3 * FINER,
            BLACK.mix(0.5).stroke_width(FINER),
        );
        chart.draw_series(dashes)?;
        let at = (x, ys.start + 0.07 * (ys.end - ys.start));
        chart.draw_series([Text::new(format!(" {name}"), at, ("sans-serif", 12 * FINER))])?;
    }
    for (k, (series, points)) in panel.series.iter().zip(&curves).enumerate() {
        let color = COLORS[k % COLORS.len()];
        if matches!(series.drawn, Drawing::Dots | Drawing::Points) {
            let (size, opacity) =
                if series.drawn == Drawing::Dots { (FINER + FINER / 2, 0.6) } else { (4 * FINER, 0.8) };
            chart
                .draw_series(points.iter().map(|&p| Circle::new(p, size, color.mix(opacity).filled())))?
                .label(&series.name)
                .legend(move |(x, y)| Circle::new((x + 8 * FINER as i32, y), 3 * FINER, color.filled()));
            continue;
        }
        let style = color.stroke_width(2 * FINER);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16 * FINER as i32, y)], style));
        if series.drawn == Drawing::Marked {
            chart.draw_series(points.iter().map(|&p| Circle::new(p, 3 * FINER, color.filled())))?;
        }
    }
    if panel.series.len() > 1 {
        chart
            .configure_series_labels()
            .position(if panel.diagonal { SeriesLabelPosition::UpperLeft } else { SeriesLabelPosition::UpperRight })
            .margin(6 * FINER)
            .legend_area_size(20 * FINER)
            .label_font(("sans-serif", 12 * FINER))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.15).stroke_width(FINER))
            .draw()?;
    }
    Ok(())
}

/// From the least to the largest value, with a margin on both sides; never empty.
fn range(values: impl Iterator<Item = f64>, margin: f64) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let width = if high > low { high - low } else { 1.0 };
    (low - margin * width)..(high.max(low + width * 1e-9) + margin * width + if high > low { 0.0 } else { 1.0 })
}

/// A range with its ticks.
struct Axis {
    range: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Axis {
    fn new(range: &Range<f64>, ticks: Vec<f64>) -> Self {
        Axis { range: range.clone().into(), ticks }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.range()
    }
}

/// Ticks of a linear axis.
fn usual_ticks(range: &Range<f64>, n: usize) -> Vec<f64> {
    RangedCoordf64::from(range.clone()).key_points(BoldPoints(n))
}

/// Ticks of a logarithmic axis at plain numbers, as logarithms, from one below all values to one above: powers of ten, or 1, 2, 5, 10, …,
/// or 1, 2, 3, …, or 1, 1.5, 2, …, or 1, 1.1, 1.2, …, the first of them that are enough to read it.
fn plain_axis(logs: Range<f64>) -> Vec<f64> {
    const ENOUGH: usize = 4;
    const NEAR: f64 = 1e-9; // of a value that is a tick
    let (low, high) = (logs.start + NEAR, logs.end - NEAR);
    let ticks = |digits: &[f64]| -> Vec<f64> {
        let all = (low.floor() as i32 - 1)..=(high.ceil() as i32 + 1);
        let of = |decade: i32| digits.iter().map(move |digit| digit.log10() + f64::from(decade));
        let all: Vec<f64> = all.flat_map(of).collect();
        let first = all.iter().rposition(|&tick| tick <= low).unwrap_or(0);
        let last = all.iter().position(|&tick| tick >= high && tick > low).unwrap_or(all.len() - 1);
        all[first..=last].to_vec()
    };
    let steps = |n: u32| -> Vec<f64> { (n..10 * n).map(|k| f64::from(k) / f64::from(n)).collect() };
    let choices = [vec![1.0], vec![1.0, 2.0, 5.0], steps(1), steps(2), steps(10)].map(|digits| ticks(&digits));
    let [.., finest] = &choices;
    choices.iter().find(|ticks| ticks.len() >= ENOUGH).unwrap_or(finest).clone()
}

/// The number of a logarithm with its two leading digits, `1500` or `0.02`.
fn plain_number(log: f64) -> String {
    let decimals = (1.0 - (log + 1e-9).floor()).max(0.0) as usize;
    let text = format!("{:.decimals$}", 10_f64.powf(log));
    if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// `10⁻⁴`.
fn power_of_ten(exponent: i32) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = exponent.unsigned_abs().to_string();
    let sign = if exponent < 0 { "⁻" } else { "" };
    format!("10{sign}{}", raised.bytes().map(|b| digits[usize::from(b - b'0')]).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks of an axis on which values lie between these.
    fn numbers(low: f64, high: f64) -> Vec<f64> {
        let ticks = plain_axis(range([low.log10(), high.log10()].into_iter(), 0.0));
        ticks.into_iter().map(|log| (10_f64.powf(log) * 1e9).round() / 1e9).collect()
    }

    #[test]
    fn logarithmic_axes_have_plain_numbers_that_enclose_what_is_drawn() {
        assert_eq!(numbers(50.0, 1000.0), [50.0, 100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(numbers(60.0, 800.0), [50.0, 100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(numbers(0.03, 0.2), [0.02, 0.05, 0.1, 0.2]);
        assert_eq!(numbers(8.0, 16.0), [8.0, 9.0, 10.0, 20.0]);
        assert_eq!(numbers(2.0, 300_000.0), [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0]);
        assert_eq!(numbers(36.4, 49.9), [35.0, 40.0, 45.0, 50.0]);
        assert_eq!(numbers(0.502, 0.518), [0.5, 0.51, 0.52]);
        assert_eq!(numbers(100.0, 100.0), [100.0, 200.0, 500.0, 1000.0]);
        let texts = [1e-7, 0.02, 0.51, 1.0, 1.5, 45.0, 1000.0, 120_000.0].map(|x: f64| plain_number(x.log10()));
        assert_eq!(texts, ["0.0000001", "0.02", "0.51", "1", "1.5", "45", "1000", "120000"]);
    }
}
