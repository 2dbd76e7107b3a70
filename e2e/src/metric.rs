//! One number of a sidecar's metrics page.

use anyhow::Context;
use testkit::Http;

use crate::Sidecar;

/// The sum over the series of this name whose labels contain all of `labels`, each
/// written as `name="value"`; 0 when there is none.
///
/// # Errors
/// When the page cannot be had, or holds something else than a number.
pub async fn metric(sidecar: &Sidecar, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
    metric_at(sidecar.metrics, name, labels).await
}

/// The same for whoever serves its metrics on this port.
///
/// # Errors
/// When the page cannot be had, or holds something else than a number.
pub async fn metric_at(port: u16, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
    let page = Http::port(port).get("/").await?.text();
    let mut sum = 0.0;
    for line in page.lines() {
        let (series, value) = line.rsplit_once(' ').unwrap_or_default();
        let (family, of_series) = series.split_once('{').unwrap_or((series, ""));
        if family == name && labels.iter().all(|label| of_series.contains(label)) {
            let value: f64 = value.parse().with_context(|| line.to_owned())?;
            sum += value;
        }
    }
    Ok(sum)
}
