//! `spank-linger status`: leases, sessions, caps and use of each user.

mod failures;
mod model;
mod own;
mod text;

use std::process::ExitCode;

use crate::Outcome;
use crate::node::Node;
use crate::paint::Paint;
use model::Status;

/// Prints what there is now.
pub(crate) fn run(node: &Node, json: bool, paint: Paint) -> Outcome {
    let status = Status::of(node)?;
    if json {
        let text = serde_json::to_string_pretty(&status).map_err(|error| error.to_string())?;
        println!("{text}");
    } else {
        print!("{}", text::of(&status, paint));
    }
    Ok(ExitCode::SUCCESS)
}
