//! Writes the bundled ranking model, `artifacts/ranker-v1.onnx`, from the tables in `rank::prior`.
//!
//! `cargo run -p swipeline-models --example write_ranker [FILE]`

use std::path::PathBuf;

use swipeline_models::rank::onnx_writer::write_onnx;
use swipeline_models::rank::prior::prior_mlp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bundled = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("artifacts")
        .join("ranker-v1.onnx");
    let path = std::env::args_os().nth(1).map_or(bundled, PathBuf::from);
    let bytes = write_onnx(&prior_mlp()?);
    std::fs::write(&path, &bytes)?;
    println!("{} bytes to {}", bytes.len(), path.display());
    Ok(())
}
