//! The graph of embedding recall for catalogues that have outgrown the exact scan: built beside everything else, dumped,
//! and loaded again at the next start instead of being built anew.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use swipeline_models::index::{BuildThreads, DumpError, HnswParams, dump_hnsw, load_hnsw};

use crate::shared::{Shared, SharedRef};

/// How often it is looked whether a graph is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Builds graphs when they are due until the engine drains.
pub(crate) async fn run_graph_builds(shared: SharedRef) {
    while !shared.is_draining() {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let inside = shared.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || build_if_due(&inside)).await {
            tracing::error!(%error, "the building of the graph failed; the exact scan serves");
        }
    }
}

fn build_if_due(shared: &Shared) {
    let Some(build) = shared.world.catalogue.pending_build() else {
        return;
    };
    let started = Instant::now();
    let built = build
        .run(BuildThreads::One)
        .and_then(|graph| shared.world.catalogue.install_graph(graph));
    match built {
        Ok(()) => {
            tracing::info!(
                took_s = started.elapsed().as_secs_f32(),
                "a new graph serves embedding recall"
            );
            dump(shared);
        }
        Err(error) => tracing::error!(%error, "the graph could not be built; the exact scan serves"),
    }
}

/// Writes the serving graph down, if one serves and there is a data dir.
pub(crate) fn dump(shared: &Shared) {
    let (Some(directory), Some(graph)) = (
        directory(shared),
        shared.world.catalogue.load().index().graph().cloned(),
    ) else {
        return;
    };
    if let Err(error) = dump_hnsw(&graph, &directory) {
        tracing::error!(%error, "the graph could not be written down; the next start builds it anew");
    }
}

/// Lets the graph that was written down serve, if one is due. A damaged or outdated dump is reported; a new graph is
/// then built while the exact scan serves.
pub(crate) fn load(shared: &Shared) {
    if shared.world.catalogue.pending_build().is_none() {
        return;
    }
    let Some(directory) = directory(shared).filter(|directory| directory.exists()) else {
        return;
    };
    let rows = Arc::clone(shared.world.catalogue.load().index().rows());
    match load_hnsw(&directory, rows, HnswParams::default()) {
        Ok(graph) => {
            if let Err(error) = shared.world.catalogue.install_graph(graph) {
                crate::shared::report_damage("graph", &error);
            }
        }
        Err(DumpError::Absent) => {}
        Err(error) => crate::shared::report_damage("graph", &error),
    }
}

fn directory(shared: &Shared) -> Option<PathBuf> {
    shared.storage.dir.as_ref().map(|dir| dir.index().join("graph"))
}
