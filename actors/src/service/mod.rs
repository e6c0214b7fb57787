//! Services: what happens beside the swipes. Each is one file with one duty.

mod catalogue;
mod checkpoint;
mod expire;
mod forget;
mod graph;
mod learner;
mod linear;
mod models;
mod new_items;
mod params;
mod params_diff;
mod trends;

pub(crate) use catalogue::{CatalogueDirty, ReplayedItemPuts, apply_changes, load as load_catalogue};
pub(crate) use checkpoint::{
    CheckpointRows, META_KEYS, checkpoint, load_collaborative, load_regions, run_checkpoints, settle, store_rows,
};
#[cfg(test)]
pub(crate) use expire::expire;
pub(crate) use expire::run_expiry;
pub(crate) use forget::forget_user;
pub(crate) use graph::{dump as dump_graph, load as load_graph, run_graph_builds};
pub(crate) use learner::{LearnerService, learn_rest, run_learner};
pub(crate) use linear::run_linear_fits;
pub(crate) use models::{ModelRecord, ModelService};
pub(crate) use new_items::{refresh_new_items, run_new_items};
pub(crate) use params::{ParamsRecord, ParamsService, models_of};
pub(crate) use trends::run_trends;
