//! The reliability diagram: how often what was claimed was so, against how sure the claim was (Murphy, Winkler 1977). On the
//! diagonal a probability means what it says, above it the claim was too modest, below it too bold.

use anyhow::{Context, Result};
use plotters::prelude::*;

use super::calibration::Calibration;

/// Pixels of one side.
const SIDE: u32 = 640;
const FONT: &str = "sans-serif";

/// The diagram of what was claimed of these sources, as SVG. At each point stands the number of its claims.
///
/// # Errors
/// When it cannot be drawn.
pub fn svg(sources: &[(&str, Calibration)]) -> Result<String> {
    let mut text = String::new();
    draw(&mut text, sources).context("the diagram cannot be drawn")?;
    Ok(text)
}

fn draw(text: &mut String, sources: &[(&str, Calibration)]) -> Result<()> {
    let area = SVGBackend::with_string(text, (SIDE, SIDE)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Does a confidence mean what it says?", (FONT, 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("claimed probability of the root")
        .y_desc("share that was right")
        .label_style((FONT, 14))
        .draw()?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.mix(0.4)))?;
    for (number, (name, calibration)) in sources.iter().enumerate() {
        let colour = Palette99::pick(number).to_rgba();
        let points: Vec<_> = calibration.points().collect();
        let way = points.iter().map(|point| (point.claimed, point.right));
        chart
            .draw_series(LineSeries::new(way, &colour))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
        chart.draw_series(points.iter().map(|point| {
            let dot = Circle::new((0, 0), 3, colour.filled());
            let cases = Text::new(format!("{}", point.cases), (6, 4), (FONT, 12));
            EmptyElement::at((point.claimed, point.right)) + dot + cases
        }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(BLACK.mix(0.4))
        .background_style(WHITE)
        .label_font((FONT, 14))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bin_with_claims_is_a_point_with_their_number() {
        let claims = [(0.95, true), (0.95, false), (0.95, true), (0.3, false)];
        let two = svg(&[("recorded", Calibration::of(claims.into_iter()))]).unwrap();
        assert!(two.starts_with("<svg") && two.contains("recorded"));
        assert_eq!(two.matches("<circle").count(), 2, "{two}");
        let none = svg(&[("recorded", Calibration::default())]).unwrap();
        assert_eq!(none.matches("<circle").count(), 0);
    }
}
