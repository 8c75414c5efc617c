//! Pictures: panels of lines in one SVG file. Everything that knows the plotting crate is here.

use std::ops::Range;
use std::path::Path;

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
    // A logarithmic axis is drawn as a linear one of log10, with labels at whole powers.
    let scaled = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let shown = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite() && (*y > 0.0 || !panel.log_y));
        shown.map(|&(x, y)| (x, if panel.log_y { y.log10() } else { y })).collect()
    };
    let curves: Vec<Vec<(f64, f64)>> = panel.series.iter().map(|s| scaled(&s.points)).collect();
    let of_points = panel.series.iter().any(|series| series.drawn == Drawing::Points);
    let mut xs = range(curves.iter().flatten().map(|p| p.0), if of_points { 0.06 } else { 0.0 });
    let mut ys = range(curves.iter().flatten().map(|p| p.1), if panel.log_y { 0.0 } else { 0.06 });
    if panel.log_y {
        ys = ys.start.floor()..(ys.end.ceil().max(ys.start.floor() + 1.0));
    }
    if panel.diagonal {
        let both = range(curves.iter().flatten().flat_map(|p| [p.0, p.1]), 0.04);
        (xs, ys) = (both.clone(), both);
    }
    if of_points {
        ys.end += 0.3 * (ys.end - ys.start); // for the legend
    }
    let decades = (ys.end - ys.start) as usize;
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 16 * FINER))
        .margin(10 * FINER)
        .x_label_area_size(38 * FINER)
        .y_label_area_size(58 * FINER)
        .build_cartesian_2d(xs.clone(), ys.clone())?;
    let power = |y: &f64| if (y - y.round()).abs() < 1e-6 { power_of_ten(y.round() as i32) } else { String::new() };
    let plain = |y: &f64| format!("{}", (y * 1e6).round() / 1e6 + 0.0); // + 0.0: no "-0"
    let label: &dyn Fn(&f64) -> String = if panel.log_y { &power } else { &plain };
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
        .y_labels(if panel.log_y { decades.min(8) + 1 } else { 7 })
        .x_label_formatter(&plain)
        .y_label_formatter(&label)
        .draw()?;
    if panel.diagonal {
        let line = [(xs.start, ys.start), (xs.end, ys.end)];
        chart.draw_series(LineSeries::new(line, BLACK.mix(0.4).stroke_width(FINER)))?;
    }
    if let Some((x, name)) = &panel.vertical {
        let dashes = DashedLineSeries::new(
            [(*x, ys.start), (*x, ys.end)],
            4 * FINER,
            3 * FINER,
            BLACK.mix(0.5).stroke_width(FINER),
        );
        chart.draw_series(dashes)?;
        let at = (*x, ys.start + 0.07 * (ys.end - ys.start));
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

/// `10⁻⁴`.
fn power_of_ten(exponent: i32) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = exponent.unsigned_abs().to_string();
    let sign = if exponent < 0 { "⁻" } else { "" };
    format!("10{sign}{}", raised.bytes().map(|b| digits[usize::from(b - b'0')]).collect::<String>())
}
