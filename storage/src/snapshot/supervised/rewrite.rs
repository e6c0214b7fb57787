//! Rewriting a store while it is used, so that nothing deleted stays on the disk: a new one is filled beside it, piece by
//! piece and behind everybody who waits, gets every change meanwhile, and takes its place in one step.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Beside, Inner, Stretch};
use crate::snapshot::supervised::worker::Class;
use crate::snapshot::{SnapshotError, SnapshotOp, SnapshotStore, Tree};

/// Rewrites the store; returns how many bytes were freed. When it returns, no byte of what was deleted before the call is
/// on the disk.
pub(super) fn rewrite(inner: &Arc<Inner>) -> Result<u64, SnapshotError> {
    let _one_at_a_time = inner.rewriting.lock();
    let generation = inner.state.lock().generation;
    let before = inner.call(Class::Read, |store| store.size_on_disk())?;
    let Beside { store, place } = inner.maker.open_empty()?;
    *inner.mirror.lock() = Some(Arc::clone(&store));
    let filled = fill(inner, generation, &store);
    if let Err(error) = filled {
        let handles = [inner.mirror.lock().take(), Some(store)];
        let maker = inner.clone();
        close_aside(move || {
            drop(handles);
            maker.maker.discard(place);
        });
        return Err(error);
    }
    let exchanged = exchange(inner, generation, place);
    let handles = [inner.mirror.lock().take(), Some(store)];
    close_aside(move || drop(handles));
    // Where this was let go, nobody knows whether it counts: what does not goes at the next start.
    exchanged?;
    let after = inner.call(Class::Read, |store| store.size_on_disk())?;
    Ok(before.saturating_sub(after))
}

fn broken_off() -> SnapshotError {
    SnapshotError::Unavailable("rewriting it was broken off; try again".to_owned())
}

fn fill(inner: &Arc<Inner>, generation: u64, target: &Arc<dyn SnapshotStore>) -> Result<(), SnapshotError> {
    for tree in Tree::ALL {
        let mut next = Some(Vec::new());
        while let Some(from) = next {
            let target = Arc::clone(target);
            next = inner.call(Class::Idle, move |store| {
                let stretch = Stretch::read(&**store, tree, &from)?;
                let next = stretch.next();
                let put = |(key, value)| SnapshotOp::Put { tree, key, value };
                // An error here is one of the new store's: the old one is well.
                target
                    .apply(stretch.entries.into_iter().map(put).collect())
                    .map_err(|error| SnapshotError::Unavailable(error.to_string()))?;
                Ok(next)
            })?;
            if inner.is_ending.load(Ordering::Acquire)
                || inner.mirror.lock().is_none()
                || inner.state.lock().generation != generation
            {
                return Err(broken_off());
            }
        }
    }
    Ok(())
}

/// Puts the new store into the place of the old one, between two jobs.
fn exchange(inner: &Arc<Inner>, generation: u64, place: u64) -> Result<(), SnapshotError> {
    let weak = Arc::downgrade(inner);
    let old = inner.call(Class::Write, move |_| {
        let inner = weak.upgrade().ok_or_else(broken_off)?;
        let fresh = inner.mirror.lock().clone().ok_or_else(broken_off)?;
        let worker = inner.state.lock().worker.clone().ok_or_else(broken_off)?;
        if inner.state.lock().generation != generation {
            return Err(broken_off());
        }
        let unwell = |error: SnapshotError| SnapshotError::Unavailable(error.to_string());
        fresh.flush().map_err(unwell)?;
        inner.maker.adopt(place, true).map_err(unwell)?;
        Ok(worker.exchange(fresh))
    })?;
    close_aside(move || drop(old));
    Ok(())
}

/// Lets go of handles on a thread of its own: whoever lets go last closes the store, for which sled may take its time, or
/// for ever.
pub(super) fn close_aside(close: impl FnOnce() + Send + 'static) {
    let closing = std::thread::Builder::new().name("store-close".to_owned());
    if let Err(error) = closing.spawn(close) {
        tracing::warn!(%error, "a snapshot store was closed by whoever used it last");
    }
}
