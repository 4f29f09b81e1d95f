//! `haulage jobs edit-args`.

use std::io::{self, Read};

use anyhow::Context;
use haulage::{JobId, ManageError};

use super::{
    super::{connect::DatabaseUrl, operator::By, output::print},
    act::failed,
};

/// Gives a job that does not run other arguments
///
/// One that is dead or cancelled has them when it is retried; one in line goes to the end of it. Its unique key stays as it is. The audit
/// says that it was done, and not what the arguments are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs edit-args 42 --args '{\"order\": 43}' --reason INC-2207
  haulage jobs show 42 --json | jq .args > args.json; $EDITOR args.json; haulage jobs edit-args 42 --args - < args.json")]
pub(crate) struct EditArgs {
    /// The job
    #[arg(value_name = "ID")]
    id: JobId,

    /// The new arguments as JSON, all of them; - reads them from the standard input
    #[arg(long, value_name = "JSON")]
    args: String,

    #[command(flatten)]
    by: By,
}

impl EditArgs {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let operator = self.by.operator()?;
        let mut args = self.args;
        if args == "-" {
            args.clear();
            io::stdin().lock().read_to_string(&mut args).context("could not read the arguments")?;
        }
        let pool = database.connect().await?;
        match operator.edit_args(&pool, self.id, args.trim(), None).await {
            Ok(()) => print(&format!("job {} has its new arguments\n", self.id)),
            Err(error @ ManageError::NotFound { .. }) => failed(vec![error], 1),
            Err(error) => Err(error.into()),
        }
    }
}
