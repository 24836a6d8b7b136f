//! Throughput and latency over time, as one HTML page that needs nothing else.

use std::fmt::Write;

use waag::command::show::thousands;

use super::meter::Window;
use super::report::Report;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
/// Room for the numbers at the left and below.
const LEFT: f64 = 90.0;
const BELOW: f64 = 34.0;

/// One line of a picture.
struct Line<'a> {
    name: &'a str,
    colour: &'a str,
    of: fn(&Window) -> f64,
}

/// The page.
pub(crate) fn page(report: &Report) -> String {
    let windows = &report.windows;
    // Below 2^53 for as long as anyone will measure.
    #[allow(clippy::cast_precision_loss)]
    let rate = Line {
        name: "lines per second",
        colour: "#1f6f8b",
        of: |window| window.lines_per_second as f64,
    };
    let latencies = [
        Line { name: "p50", colour: "#2a9d4a", of: |window| window.p50_ms },
        Line { name: "p99", colour: "#d98324", of: |window| window.p99_ms },
        Line { name: "max", colour: "#b23a48", of: |window| window.max_ms },
    ];
    let mut told = Vec::new();
    // A vector takes everything.
    let _ = report.write(&mut told);
    let settings = serde_json::to_string_pretty(&report.settings).unwrap_or_default();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>waag-load</title>\n\
         <style>body{{font:15px sans-serif;margin:2em;max-width:{WIDTH}px}}\
         text{{font:12px sans-serif}}pre{{background:#f4f4f4;padding:1em}}</style></head><body>\n\
         <h1>waag-load run</h1>\n<pre>{}</pre>\n\
         <h2>Throughput, lines per second</h2>\n{}\n\
         <h2>Latency of a batch, milliseconds, from the moment it was due</h2>\n{}\n\
         <h2>Settings</h2>\n<pre>{}</pre>\n</body></html>\n",
        escaped(&String::from_utf8_lossy(&told)),
        chart(windows, &[rate]),
        chart(windows, &latencies),
        escaped(&settings),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The least of 1, 2 and 5 times a power of ten that is not below `value`.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|step| step * power)
        .into_iter()
        .find(|&top| top >= value)
        .unwrap_or(value)
}

fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.1}");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = value.round() as u64;
    thousands(whole)
}

fn chart(windows: &[Window], lines: &[Line<'_>]) -> String {
    let until = windows.last().map_or(1.0, |window| window.until_s).max(0.001);
    let highest = windows
        .iter()
        .flat_map(|window| lines.iter().map(|line| (line.of)(window)))
        .fold(0.0, f64::max);
    let top = round_up(highest);
    let x = |seconds: f64| LEFT + seconds / until * (WIDTH - LEFT - 10.0);
    let y = |value: f64| 10.0 + (1.0 - value / top) * (HEIGHT - BELOW - 10.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">"
    );
    for quarter in 0..=4 {
        let value = top * f64::from(quarter) / 4.0;
        // Writing to a string does not fail.
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>",
            WIDTH - 10.0,
            y(value),
            LEFT - 8.0,
            y(value) + 4.0,
            number(value),
        );
        let seconds = until * f64::from(quarter) / 4.0;
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds:.0} s</text>",
            x(seconds).min(WIDTH - 24.0),
            HEIGHT - BELOW + 18.0,
        );
    }
    for (place, line) in lines.iter().enumerate() {
        let mut points = String::new();
        for window in windows {
            let middle = window.until_s - window.seconds / 2.0;
            let _ = write!(points, "{:.1},{:.1} ", x(middle), y((line.of)(window)));
        }
        // There are three lines at most.
        #[allow(clippy::cast_precision_loss)]
        let legend = LEFT + 130.0 * place as f64;
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" \
             points=\"{points}\"/><text x=\"{legend:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
            HEIGHT - 4.0,
            line.name,
            colour = line.colour,
            points = points.trim_end(),
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, top) in [(0.0, 1.0), (0.7, 1.0), (1.1, 2.0), (430_000.0, 500_000.0)] {
            assert!((round_up(value) - top).abs() < top / 1e9, "{value}");
        }
    }

    #[test]
    fn a_chart_has_a_point_for_each_window_and_loads_nothing() {
        let window = |until_s: f64, lines: u64| Window {
            until_s,
            seconds: 1.0,
            lines,
            lines_per_second: lines,
            p50_ms: 1.0,
            p99_ms: 2.0,
            max_ms: 4.0,
        };
        let windows = [window(1.0, 100), window(2.0, 200), window(3.0, 50)];
        let line = Line { name: "p50", colour: "#000", of: |window| window.p50_ms };
        let svg = chart(&windows, &[line]);
        let points = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(points.split(' ').count(), 3, "{points}");
        assert!(!svg.contains("<script") && !svg.contains("href"));
        assert!(!chart(&[], &[]).contains("NaN"));
    }
}
