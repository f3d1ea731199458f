//! Lines in an SVG, for the documents.

use std::fmt::Write;

/// Some lines over one axis.
#[derive(Debug)]
pub struct Panel<'a> {
    /// Above it.
    pub title: &'a str,
    /// What lies to the right.
    pub across: &'a str,
    /// Their names, and their points.
    pub lines: Vec<(&'a str, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 38.0;
/// Told apart by those, too, who see few colours; readable on light and dark.
const COLOURS: [&str; 3] = ["#0072b2", "#d55e00", "#009e73"];

/// The panels, side by side; each begins at nought, so that what grows is seen to.
pub fn svg(panels: &[Panel<'_>]) -> String {
    let mut svg = String::new();
    // Writing into a text cannot fail.
    let _ = draw(&mut svg, panels);
    svg
}

fn draw(svg: &mut String, panels: &[Panel<'_>]) -> std::fmt::Result {
    let width = WIDTH * panels.len() as f64;
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"
    )?;
    for (number, panel) in panels.iter().enumerate() {
        writeln!(svg, "<g transform=\"translate({} 0)\">", WIDTH * number as f64)?;
        draw_panel(svg, panel)?;
        writeln!(svg, "</g>")?;
    }
    writeln!(svg, "</svg>")
}

fn draw_panel(svg: &mut String, panel: &Panel<'_>) -> std::fmt::Result {
    let points = || panel.lines.iter().flat_map(|(_, points)| points);
    let most_across = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
    let most_up = round_up(points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max));
    let (inner_width, inner_height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let across = |value: f64| LEFT + inner_width * value / most_across;
    let up = |value: f64| TOP + inner_height * (1.0 - value / most_up);
    writeln!(svg, "<text x=\"{LEFT}\" y=\"16\" font-weight=\"bold\">{}</text>", panel.title)?;
    for part in 0..=4 {
        let value = most_up * f64::from(part) / 4.0;
        let y = up(value);
        writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0
        )?;
    }
    let bottom = HEIGHT - BOTTOM + 15.0;
    writeln!(svg, "<text x=\"{LEFT}\" y=\"{bottom}\">0</text>")?;
    writeln!(svg, "<text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">{most_across}</text>", WIDTH - RIGHT)?;
    writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        LEFT + inner_width / 2.0,
        bottom + 14.0,
        panel.across
    )?;
    for ((name, points), colour) in panel.lines.iter().zip(COLOURS) {
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y))).collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        )?;
        if let Some((x, y)) = points.last() {
            let (x, y) = (across(*x), up(*y) - 6.0);
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>")?;
        }
    }
    Ok(())
}

/// One, two or five times a power of ten, or four, or eight: its quarters are short.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|rounded| *rounded >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_number_whose_quarters_are_short() {
        assert_eq!([0.7, 1.0, 3.0, 7_500.0, 9.5].map(round_up), [0.8, 1.0, 4.0, 8_000.0, 10.0]);
    }

    #[test]
    fn a_line_begins_where_its_first_point_is_and_ends_at_its_last() {
        let svg = svg(&[Panel { title: "T", across: "x", lines: vec![("one", vec![(0.0, 0.0), (10.0, 4.0)])] }]);
        assert!(svg.contains("points=\"52.0,182.0 346.0,34.0\""), "{svg}");
    }
}
