//! What the archive holds, for operators and for metrics.

use serde::Serialize;
use swipeline_storage::archive::ArchiveKind;

use crate::shared::Shared;

/// What the archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchiveStatus {
    /// Whether it takes anything.
    pub enabled: bool,
    /// Everything in the journal up to here is archived.
    pub cursor: u64,
    /// How many journal records are not looked at yet.
    pub lag_records: u64,
    /// Accepted events.
    pub events: TierStatus,
    /// Served slates.
    pub slates: TierStatus,
    /// How many deleted users are not forgotten yet.
    pub waiting_to_forget: usize,
    /// What went wrong last, if it still does.
    pub error: Option<String>,
}

/// What the archive holds of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TierStatus {
    /// About how many records are warm (a record of events may hold several, all of one user).
    pub warm_records: u64,
    /// About their bytes.
    pub warm_bytes: u64,
    /// In how many intervals.
    pub warm_intervals: usize,
    /// How many cold files there are.
    pub cold_files: usize,
    /// How many rows they hold.
    pub cold_rows: u64,
    /// Their bytes.
    pub cold_bytes: u64,
    /// When the oldest interval began, milliseconds since 1970.
    pub oldest_ms: Option<i64>,
}

/// The numbers of now; `None` for an engine in memory.
pub(crate) fn status(shared: &Shared) -> Option<ArchiveStatus> {
    let store = shared.archive.store.as_ref()?;
    let cursor = store.warm.cursor().0;
    Some(ArchiveStatus {
        enabled: shared.world.params.load().archive.enabled,
        cursor,
        lag_records: shared.storage.journal.committed().0.saturating_sub(cursor),
        events: tier(shared, ArchiveKind::Events),
        slates: tier(shared, ArchiveKind::Slates),
        waiting_to_forget: store.forget.waiting().len(),
        error: shared.archive.last_error.lock().clone(),
    })
}

fn tier(shared: &Shared, kind: ArchiveKind) -> TierStatus {
    let mut status = TierStatus::default();
    let Some(store) = &shared.archive.store else {
        return status;
    };
    let mut oldest = None::<i64>;
    for bucket in store.warm.buckets(kind) {
        status.warm_records += bucket.entries;
        status.warm_bytes += bucket.bytes;
        status.warm_intervals += 1;
        oldest = Some(oldest.map_or(bucket.start_ms, |oldest| oldest.min(bucket.start_ms)));
    }
    for file in store.cold.files().iter().filter(|file| file.kind == kind) {
        status.cold_files += 1;
        status.cold_rows += file.rows;
        status.cold_bytes += file.bytes;
        oldest = Some(oldest.map_or(file.start_ms, |oldest| oldest.min(file.start_ms)));
    }
    status.oldest_ms = oldest;
    status
}

/// Sets the gauges of the archive.
pub(super) fn publish(shared: &Shared) {
    let Some(status) = status(shared) else { return };
    metrics::gauge!("swipeline_archive_lag_records").set(status.lag_records as f64);
    metrics::gauge!("swipeline_archive_waiting_to_forget").set(status.waiting_to_forget as f64);
    for (kind, tier) in [("events", &status.events), ("slates", &status.slates)] {
        metrics::gauge!("swipeline_archive_warm_bytes", "kind" => kind).set(tier.warm_bytes as f64);
        metrics::gauge!("swipeline_archive_cold_bytes", "kind" => kind).set(tier.cold_bytes as f64);
        metrics::gauge!("swipeline_archive_cold_rows", "kind" => kind).set(tier.cold_rows as f64);
    }
}
