//! The gate between the journal and memory: a record is journaled and applied inside it, so that whoever closes it finds
//! every record in both places or in neither.
//!
//! Owns nothing but the lock. A checkpoint closes it for the moment in which it reads the journal's last number and takes
//! what has no number of its own: a cut through the log that is exact by construction. Must not be entered twice by one
//! thread (a waiting checkpoint would stand between the two), nor held over an `await`.

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// See the module.
#[derive(Default)]
pub(crate) struct ApplyGate(RwLock<()>);

impl ApplyGate {
    /// Entered before a record is appended and left when all state holds it. Waits only while somebody has it closed.
    pub(crate) fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read()
    }

    /// Waits until nobody is between journal and memory, and keeps everybody out. Hold it for milliseconds.
    pub(crate) fn close(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write()
    }
}
