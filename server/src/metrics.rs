//! What is counted, for Prometheus. Labels come from a fixed set: no name, address or id can get in.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use alcove_protocol::endpoint;

/// Upper bounds of the latency buckets, in microseconds.
const LATENCY_US: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];
/// Upper bounds of the sizes of groups.
const GROUPS: [u64; 7] = [1, 2, 4, 8, 16, 64, 256];
/// Status classes: 2xx to 5xx.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Everything that is counted.
pub struct Metrics {
    endpoints: Vec<EndpointMetrics>,
    groups: Histogram<{ GROUPS.len() }>,
    connections: AtomicU64,
    in_flight: AtomicU64,
    pushes: AtomicU64,
    slots: AtomicU64,
    bytes: AtomicU64,
    logins_right: AtomicU64,
    logins_wrong: AtomicU64,
    limited: AtomicU64,
}

struct EndpointMetrics {
    method: &'static str,
    path: &'static str,
    classes: [AtomicU64; CLASSES.len()],
    latency: Histogram<{ LATENCY_US.len() }>,
}

struct Histogram<const N: usize> {
    bounds: [u64; N],
    counts: [AtomicU64; N],
    count: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    fn observe(&self, value: u64) {
        if let Some(bucket) = self.bounds.iter().position(|bound| value <= *bound) {
            self.counts[bucket].fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn render(&self, out: &mut String, name: &str, labels: &str, scale: f64) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            below += count.load(Relaxed);
            line(
                out,
                format_args!("{name}_bucket{{{labels}{comma}le=\"{}\"}} {below}", scaled(*bound, scale)),
            );
        }
        // What is being observed right now may be in its bucket and not yet in the count, which is never less than a bucket.
        let count = self.count.load(Relaxed).max(below);
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"));
        line(out, format_args!("{name}_sum{braces} {}", scaled(self.sum.load(Relaxed), scale)));
        line(out, format_args!("{name}_count{braces} {count}"));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sum for a plot")]
fn scaled(value: u64, scale: f64) -> f64 {
    value as f64 * scale
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    out.write_fmt(text).ok();
    out.push('\n');
}

impl Default for Metrics {
    fn default() -> Self {
        // Whatever is at no endpoint is counted together.
        let other = [("other", "other")];
        let endpoints = endpoint::ALL.iter().map(|endpoint| (endpoint.method, endpoint.path)).chain(other);
        let zero = AtomicU64::default;
        Self {
            endpoints: endpoints
                .map(|(method, path)| EndpointMetrics {
                    method,
                    path,
                    classes: std::array::from_fn(|_| zero()),
                    latency: Histogram::new(LATENCY_US),
                })
                .collect(),
            groups: Histogram::new(GROUPS),
            connections: zero(),
            in_flight: zero(),
            pushes: zero(),
            slots: zero(),
            bytes: zero(),
            logins_right: zero(),
            logins_wrong: zero(),
            limited: zero(),
        }
    }
}

impl Metrics {
    /// A request was answered. The path is its pattern.
    pub(crate) fn answered(&self, method: &str, path: &str, status: u16, took: Duration) {
        let known = self.endpoints.iter().find(|one| one.method == method && one.path == path);
        let Some(endpoint) = known.or(self.endpoints.last()) else { return };
        let class = usize::from(status / 100).saturating_sub(2).min(CLASSES.len() - 1);
        endpoint.classes[class].fetch_add(1, Relaxed);
        endpoint.latency.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a connection as long as the guard lives.
    pub(crate) fn connected(&self) -> Gauge<'_> {
        Gauge::up(&self.connections)
    }

    /// Counts a request in flight as long as the guard lives.
    pub(crate) fn in_flight(&self) -> Gauge<'_> {
        Gauge::up(&self.in_flight)
    }

    pub(crate) fn group_committed(&self, size: usize) {
        self.groups.observe(size as u64);
    }

    pub(crate) fn pushed(&self, slots: usize, bytes: usize) {
        self.pushes.fetch_add(1, Relaxed);
        self.slots.fetch_add(slots as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn login(&self, right: bool) {
        if right { &self.logins_right } else { &self.logins_wrong }.fetch_add(1, Relaxed);
    }

    pub(crate) fn rate_limited(&self) {
        self.limited.fetch_add(1, Relaxed);
    }

    /// All of it, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        let heading = |out: &mut String, name: &str, kind: &str, help: &str| {
            line(out, format_args!("# HELP {name} {help}"));
            line(out, format_args!("# TYPE {name} {kind}"));
        };
        heading(&mut out, "alcove_requests_total", "counter", "Requests by endpoint and class of status.");
        for one in &self.endpoints {
            for (class, count) in CLASSES.iter().zip(&one.classes) {
                let (method, path, count) = (one.method, one.path, count.load(Relaxed));
                if count > 0 {
                    line(
                        &mut out,
                        format_args!(
                            "alcove_requests_total{{method=\"{method}\",path=\"{path}\",status=\"{class}\"}} {count}"
                        ),
                    );
                }
            }
        }
        heading(&mut out, "alcove_request_seconds", "histogram", "How long answers took.");
        for one in self.endpoints.iter().filter(|one| one.latency.count.load(Relaxed) > 0) {
            let labels = format!("method=\"{}\",path=\"{}\"", one.method, one.path);
            one.latency.render(&mut out, "alcove_request_seconds", &labels, 1e-6);
        }
        heading(&mut out, "alcove_group_size", "histogram", "Writes that shared a transaction (SQLite).");
        self.groups.render(&mut out, "alcove_group_size", "", 1.0);
        for (name, kind, help, value) in [
            ("alcove_connections", "gauge", "Open connections.", &self.connections),
            ("alcove_requests_in_flight", "gauge", "Requests being answered.", &self.in_flight),
            ("alcove_pushes_total", "counter", "Pushes that were well-formed.", &self.pushes),
            ("alcove_pushed_slots_total", "counter", "Slots in them.", &self.slots),
            ("alcove_pushed_bytes_total", "counter", "Bytes of records in them.", &self.bytes),
            ("alcove_logins_right_total", "counter", "Logins with the right password.", &self.logins_right),
            (
                "alcove_logins_wrong_total",
                "counter",
                "Logins with a wrong name or password.",
                &self.logins_wrong,
            ),
            ("alcove_rate_limited_total", "counter", "Requests refused for their rate.", &self.limited),
        ] {
            heading(&mut out, name, kind, help);
            line(&mut out, format_args!("{name} {}", value.load(Relaxed)));
        }
        out
    }
}

/// Counts one more until it is dropped.
pub(crate) struct Gauge<'m>(&'m AtomicU64);

impl<'m> Gauge<'m> {
    fn up(gauge: &'m AtomicU64) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let metrics = Metrics::default();
        metrics.answered("GET", "/v1/spaces", 200, Duration::from_micros(700));
        metrics.answered("GET", "/v1/spaces", 503, Duration::from_secs(100));
        metrics.answered("GET", "/secret/path", 404, Duration::ZERO);
        metrics.group_committed(3);
        let guard = metrics.in_flight();
        let text = metrics.render();
        drop(guard);
        for line in [
            "alcove_requests_total{method=\"GET\",path=\"/v1/spaces\",status=\"5xx\"} 1",
            "alcove_requests_total{method=\"other\",path=\"other\",status=\"4xx\"} 1",
            "alcove_request_seconds_bucket{method=\"GET\",path=\"/v1/spaces\",le=\"0.001\"} 1",
            "alcove_request_seconds_bucket{method=\"GET\",path=\"/v1/spaces\",le=\"+Inf\"} 2",
            "alcove_group_size_bucket{le=\"4\"} 1",
            "alcove_requests_in_flight 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("secret"));
        assert!(metrics.render().contains("alcove_requests_in_flight 0\n"));
    }
}
