//! What the server says it costs: CPU time and memory from its metrics page.
//!
//! Owns reading the two numbers out of the Prometheus text. Must not know what they are used for.

/// The names of the metrics end with these; a prefix such as `swipeline_` may stand before them.
const CPU_SUFFIX: &str = "process_cpu_seconds_total";
const RSS_SUFFIX: &str = "process_resident_memory_bytes";

/// One look at the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsageSample {
    /// Processor time so far, in seconds.
    pub cpu_s: Option<f64>,
    /// Resident memory, in bytes.
    pub rss_bytes: Option<f64>,
}

/// Reads CPU time and memory out of a page in the Prometheus text format.
#[must_use]
pub fn parse_usage(text: &str) -> UsageSample {
    let value_of = |suffix: &str| {
        text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let name = name.split('{').next().unwrap_or(name).trim_end();
            if !name.ends_with(suffix) {
                return None;
            }
            value.trim().parse::<f64>().ok().filter(|value| value.is_finite())
        })
    };
    UsageSample {
        cpu_s: value_of(CPU_SUFFIX),
        rss_bytes: value_of(RSS_SUFFIX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_are_found_under_any_prefix() {
        let page = "# TYPE swipeline_process_cpu_seconds_total counter\n\
                    swipeline_process_cpu_seconds_total 12.5\n\
                    process_resident_memory_bytes{host=\"a b\"} 1.5e8\nother 3\n";
        assert_eq!(
            parse_usage(page),
            UsageSample {
                cpu_s: Some(12.5),
                rss_bytes: Some(1.5e8)
            }
        );
        assert_eq!(
            parse_usage("process_cpu_seconds_total NaN"),
            UsageSample {
                cpu_s: None,
                rss_bytes: None
            }
        );
    }
}
