//! A picture of a run: latency and throughput over time, as SVG or as an HTML page with the SVG in
//! it. Neither needs any other file.

use std::{fmt::Write, path::Path, time::Duration};

use super::{
    measure::{Measure, Quantile},
    results::Results,
    series::{Interval, Series},
};
use crate::terminal::duration::millis;

/// The file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureFormat {
    Html,
    Svg,
}

impl PictureFormat {
    /// The format by the extension of the file's name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "html" | "htm" => Some(Self::Html),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 150.0;
const CHART: f64 = 240.0;
const TOP: f64 = 50.0;
const GAP: f64 = 70.0;
const HEIGHT: f64 = TOP + CHART + GAP + CHART + 50.0;
/// Colours of lines that people with any colour vision can distinguish (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#009e73", "#e69f00", "#d55e00"];
const LINES: [Quantile; 4] = [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::Max];

/// The picture, with a heading of one line. An HTML page also has the lines of `details` below it.
pub(crate) fn picture(
    format: PictureFormat,
    heading: &str,
    details: &str,
    results: &Results,
) -> String {
    let svg = svg(heading, results);
    match format {
        PictureFormat::Svg => svg,
        PictureFormat::Html => format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\n\
             <style>body {{ font-family: sans-serif; max-width: 60rem; margin: 2rem auto; color: #222; \
             background: #fff }} pre {{ overflow-x: auto }} svg {{ max-width: 100%; height: auto }}</style>\
             </head>\n<body>\n{svg}\n<pre>{}</pre>\n</body></html>\n",
            escaped(heading),
            escaped(details)
        ),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn svg(heading: &str, results: &Results) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\" role=\"img\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<title>{0}</title>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{0}</text>\n",
        escaped(heading)
    );
    let series = &results.series;
    if series.intervals().is_empty() {
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"80\">nothing was measured</text>");
    } else {
        latencies(&mut svg, results);
        throughput(&mut svg, series);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The scales of one of the two charts.
struct Chart {
    /// The place of the upper edge.
    top: f64,
    /// The end of the time axis, in seconds.
    until: f64,
    low: f64,
    high: f64,
    /// Whether the value axis is logarithmic.
    log: bool,
}

#[expect(clippy::cast_precision_loss, reason = "a picture's coordinates")]
impl Chart {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * seconds / self.until
    }

    fn y(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.log { value.max(self.low).log10() } else { value };
        let (low, high) = (scale(self.low), scale(self.high));
        self.top + CHART * (1.0 - (scale(value) - low) / (high - low))
    }

    fn axes(&self, svg: &mut String, title: &str, marks: &[f64]) {
        let (right, bottom) = (WIDTH - RIGHT, self.top + CHART);
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{title}</text>",
            self.top - 8.0
        );
        for mark in marks {
            let y = self.y(*mark);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        let step = round_step(self.until / 8.0);
        for index in 0..=8 {
            let seconds = f64::from(index) * step;
            if seconds > self.until {
                break;
            }
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds} s</text>",
                self.x(seconds),
                bottom + 18.0
            );
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {:.1}V{bottom:.1}H{right}\" fill=\"none\" stroke=\"#222\"/>",
            self.top
        );
    }

    /// Draws a line through the value of each interval, at its middle. It is interrupted where there
    /// is no value.
    fn line(
        &self,
        svg: &mut String,
        series: &Series,
        colour: &str,
        of: impl Fn(&Interval) -> Option<f64>,
    ) {
        let width = series.width().as_secs_f64();
        let mut path = String::new();
        let mut pen_is_down = false;
        for (index, interval) in series.intervals().iter().enumerate() {
            let Some(value) = of(interval) else {
                pen_is_down = false;
                continue;
            };
            let (x, y) = (self.x((index as f64 + 0.5) * width), self.y(value));
            // A line of one point shows as a dot, because its ends are round.
            let step =
                if pen_is_down { format!("L{x:.1} {y:.1}") } else { format!("M{x:.1} {y:.1}h0") };
            path.push_str(&step);
            pen_is_down = true;
        }
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" \
             stroke-linecap=\"round\" stroke-linejoin=\"round\"/>"
        );
    }

    fn legend(&self, svg: &mut String, place: u8, colour: &str, text: &str) {
        let (x, y) = (WIDTH - RIGHT + 12.0, self.top + 14.0 + 20.0 * f64::from(place));
        let _ = writeln!(
            svg,
            "<path d=\"M{x} {:.1}h16\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{}\" y=\"{y:.1}\">{text}</text>",
            y - 4.0,
            x + 22.0
        );
    }
}

fn end_of(series: &Series) -> f64 {
    let count = u32::try_from(series.intervals().len()).unwrap_or(u32::MAX);
    (series.width() * count).as_secs_f64()
}

/// The next larger number that is 1, 2 or 5 times a power of ten.
fn round_step(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= value * 0.999);
    factor.unwrap_or(10.0) * power
}

fn latencies(svg: &mut String, results: &Results) {
    let series = &results.series;
    let all = series.intervals().iter().filter(|interval| !interval.latencies.is_empty());
    let (low, high) = all.fold((f64::MAX, 1.0_f64), |(low, high), interval| {
        let (least, most) = (interval.latencies.min(), interval.latencies.max());
        (low.min(micros_as_millis(least)), high.max(micros_as_millis(most)))
    });
    let low = 10_f64.powf(low.clamp(0.1, 1000.0).log10().floor());
    let high = 10_f64.powf(high.max(low * 10.0).log10().ceil());
    let chart = Chart { top: TOP, until: end_of(series), low, high, log: true };
    let mut marks = vec![low];
    while marks.last().is_some_and(|mark| *mark < high * 0.9) {
        marks.push(marks[marks.len() - 1] * 10.0);
    }
    chart.axes(svg, "end-to-end latency in ms, by when each workflow was due", &marks);
    for (place, (quantile, colour)) in (0_u8..).zip(LINES.into_iter().zip(COLOURS)) {
        chart.line(svg, series, colour, |interval| {
            let micros = match quantile {
                Quantile::Max => interval.latencies.max(),
                other => interval.latencies.value_at_quantile(other.share()),
            };
            (!interval.latencies.is_empty()).then(|| micros_as_millis(micros))
        });
        let overall = results.quantile(Measure::EndToEnd, quantile).unwrap_or_default();
        let text = format!("{}: {:.0} ms", quantile.as_str(), millis(overall));
        chart.legend(svg, place, colour, &text);
    }
}

fn micros_as_millis(micros: u64) -> f64 {
    millis(Duration::from_micros(micros))
}

#[expect(clippy::cast_precision_loss, reason = "a picture's coordinates")]
fn throughput(svg: &mut String, series: &Series) {
    let width = series.width().as_secs_f64();
    let most =
        series.intervals().iter().map(|interval| interval.completed.max(interval.errors)).max();
    let step = round_step((most.unwrap_or(1).max(1) as f64 / width) / 4.0);
    let marks: Vec<_> = (0..=4).map(|index| f64::from(index) * step).collect();
    let top = TOP + CHART + GAP;
    let chart = Chart { top, until: end_of(series), low: 0.0, high: step * 4.0, log: false };
    chart.axes(svg, "workflows per second, by when each ended", &marks);
    chart.line(svg, series, COLOURS[0], |interval| Some(interval.completed as f64 / width));
    chart.legend(svg, 0, COLOURS[0], "completed");
    if series.intervals().iter().any(|interval| interval.errors > 0) {
        chart.line(svg, series, COLOURS[3], |interval| Some(interval.errors as f64 / width));
        chart.legend(svg, 1, COLOURS[3], "errors");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::new(0);
        for index in 1..=100 {
            let latency = Duration::from_millis(10 + index);
            results.ended(Duration::from_millis(500 * index) + latency, latency, None);
        }
        results
    }

    #[test]
    fn lines_stay_inside_the_charts_and_a_page_has_the_details() {
        let svg = picture(PictureFormat::Svg, "a <b>", "unused", &results());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(svg.contains("a &lt;b&gt;") && !svg.contains("unused"));
        assert_eq!(
            svg.matches("stroke-width=\"1.8\"").count(),
            5,
            "four quantiles and a throughput"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        for line in svg.lines().filter(|line| line.contains("stroke-width=\"1.8\"")) {
            let points = line.split('"').nth(1).unwrap();
            let points: Vec<f64> = points
                .split(['M', 'L', ' ', 'h'])
                .filter_map(|number| number.parse().ok())
                .filter(|number| *number != 0.0)
                .collect();
            assert!(points.len() > 40, "{line}");
            assert!(
                points.chunks(2).all(|point| (LEFT..=WIDTH - RIGHT).contains(&point[0])),
                "{line}"
            );
            assert!(points.chunks(2).all(|point| (TOP..=HEIGHT).contains(&point[1])), "{line}");
        }
        let page = picture(PictureFormat::Html, "a <b>", "p99 < 1 & more", &results());
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains(&svg));
        assert!(page.contains("<pre>p99 &lt; 1 &amp; more</pre>"));
    }

    #[test]
    fn the_picture_of_a_run_without_results_states_that() {
        let svg = picture(PictureFormat::Svg, "none", "", &Results::new(0));
        assert!(svg.contains("nothing was measured"));
    }

    #[test]
    fn steps_are_round() {
        for (value, step) in [(0.7, 1.0), (1.0, 1.0), (1.1, 2.0), (30.0, 50.0), (51.0, 100.0)] {
            assert!((round_step(value) - step).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn file_name_decides_the_format() {
        assert_eq!(PictureFormat::of(Path::new("a/b.html")), Some(PictureFormat::Html));
        assert_eq!(PictureFormat::of(Path::new("b.svg")), Some(PictureFormat::Svg));
        assert_eq!(PictureFormat::of(Path::new("b.png")), None);
        assert_eq!(PictureFormat::of(Path::new("svg")), None);
    }
}
