//! `haulage jobs run-again`.

use haulage::{JobId, ManageError};
use serde_json::json;

use super::{
    super::{
        connect::DatabaseUrl,
        operator::By,
        output::{print, print_json},
    },
    act::failed,
};

/// Makes new jobs of finished ones, with the same arguments
///
/// The old job stays as it is. The new one has an id of its own, and its origin names the old one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs run-again 42
  haulage jobs run-again 42 --json | jq .[0].new_id")]
pub(crate) struct RunAgain {
    /// The jobs to repeat
    #[arg(value_name = "ID", required = true)]
    ids: Vec<JobId>,

    #[command(flatten)]
    by: By,

    /// Print a JSON array with an object each
    #[arg(long)]
    json: bool,
}

impl RunAgain {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let operator = self.by.operator()?;
        let pool = database.connect().await?;
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for id in &self.ids {
            match operator.run_again(&pool, *id).await {
                Ok(new) => {
                    results.push(json!({ "id": id, "verb": "run-again", "new_id": new }));
                    if !self.json {
                        print(&format!("job {id} runs again as job {new}\n"))?;
                    }
                }
                Err(error @ (ManageError::NotFound { .. } | ManageError::Refused { .. })) => {
                    results.push(json!({ "id": id, "verb": "run-again", "error": error.to_string() }));
                    errors.push(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if self.json {
            print_json(&results)?;
        }
        failed(errors, self.ids.len())
    }
}
