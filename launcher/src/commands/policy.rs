//! `sealpod policy generate`.

use crate::cli::PolicyCommand;
use crate::image::{Image, registry};
use crate::ui::Ui;
use crate::workload;
use anyhow::{Context as _, Result};

/// Write the initdata that `run` would compose from the same flags.
pub async fn policy(command: PolicyCommand) -> Result<u8> {
    let PolicyCommand::Generate { output, json, workload: args } = command;
    let mut ui = Ui::new(false, json);
    let image = registry::locate(&args.image, args.dangerous_insecure_registry, &mut ui).await?;
    let image = Image::open(&image)?;
    let spec = workload::container_spec(&args, &image)?;
    let initdata = workload::compose(&args, &spec)?;
    std::fs::write(&output, initdata.text()).with_context(|| output.display().to_string())?;
    if json {
        println!("{}", serde_json::json!({"file": output, "digest": initdata.digest(), "image": spec.image}));
    } else {
        println!("{} allows {} to run {:?}", output.display(), spec.image, spec.args);
        println!("digest: {}", initdata.digest());
        println!(
            "next: `sealpod-images reference-values --initdata {0} -o initdata.json`, then `sealpod-kbs reference add initdata.json`, then `sealpod run --policy {0} …`",
            output.display()
        );
    }
    Ok(0)
}
