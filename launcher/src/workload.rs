//! From flags and image to the container's specification and the owner's policy.

use crate::cli::WorkloadArgs;
use crate::image::Image;
use crate::input::{self, InputError};
use anyhow::{Context as _, Result, bail};
use sealpod_evidence::initdata::{Broker, Initdata, PodPolicy};
use sealpod_evidence::workload::{ContainerRule, ContainerSpec};

/// All that the container is.
pub fn container_spec(args: &WorkloadArgs, image: &Image) -> Result<ContainerSpec> {
    let config = &image.config;
    let command = if args.command.is_empty() { &config.cmd } else { &args.command };
    let argv: Vec<String> = config.entrypoint.iter().chain(command).cloned().collect();
    if argv.is_empty() {
        bail!("the image names no command; give one after the image");
    }
    let (uid, gid) = input::user(args.user.as_deref().unwrap_or(&config.user))?;
    let working_dir = args.workdir.clone().unwrap_or_else(|| config.working_dir.clone());
    if !working_dir.starts_with('/') {
        bail!("working directory {working_dir:?} is not absolute; give --workdir");
    }
    let secrets = args.secret.iter().map(|text| input::secret(text)).collect::<Result<_, InputError>>()?;
    Ok(ContainerSpec {
        image: image.digest,
        args: argv,
        env: input::environment(&config.env, &args.env)?,
        working_dir,
        uid,
        gid,
        secrets,
    })
}

/// The policy that allows exactly this container. The same flags and image always give the same digest.
pub fn compose(args: &WorkloadArgs, spec: &ContainerSpec) -> Result<Initdata> {
    let kbs = match (&args.kbs, &args.kbs_ca) {
        (Some(url), Some(path)) => {
            input::broker_address(url)?;
            let ca = std::fs::read_to_string(path).with_context(|| format!("--kbs-ca {}", path.display()))?;
            if !ca.contains("-----BEGIN CERTIFICATE-----") {
                bail!("--kbs-ca {} holds no certificate in PEM form", path.display());
            }
            Some(Broker { url: url.clone(), ca })
        }
        _ => None,
    };
    if kbs.is_none() && !spec.secrets.is_empty() {
        bail!("--secret needs a broker to fetch from: give --kbs URL and --kbs-ca FILE");
    }
    let rule = ContainerRule {
        spec: spec.clone(),
        allow_output: args.allow_output,
        allow_input: args.allow_input,
        allow_signals: args.allow_signals,
    };
    Ok(Initdata::compose(&PodPolicy { kbs, containers: vec![rule] })?)
}

/// The one container of the policy that the command line means: what it says must be equal, what it leaves out is the policy's.
pub fn from_policy(args: &WorkloadArgs, policy: &PodPolicy, asked: ContainerSpec) -> Result<ContainerSpec> {
    let complete = |rule: &ContainerRule| {
        let (mut spec, allowed) = (asked.clone(), &rule.spec);
        if args.command.is_empty() {
            spec.args.clone_from(&allowed.args);
        }
        if args.env.is_empty() {
            spec.env.clone_from(&allowed.env);
        }
        if args.secret.is_empty() {
            spec.secrets.clone_from(&allowed.secrets);
        }
        if args.workdir.is_none() {
            spec.working_dir.clone_from(&allowed.working_dir);
        }
        if args.user.is_none() {
            (spec.uid, spec.gid) = (allowed.uid, allowed.gid);
        }
        spec
    };
    let mut fitting = policy.containers.iter().filter(|rule| complete(rule) == rule.spec);
    match (fitting.next(), fitting.next()) {
        (Some(rule), None) => Ok(rule.spec.clone()),
        (Some(_), Some(_)) => {
            bail!(
                "several containers of the policy fit; name the command, and its flags where commands are equal"
            )
        }
        // Refused below, against the nearest rule.
        (None, _) => Ok(asked),
    }
}

/// The rule for this container. The guest checks it again; here it saves a boot that must fail.
pub fn rule<'a>(policy: &'a PodPolicy, spec: &ContainerSpec) -> Result<&'a ContainerRule> {
    if let Some(rule) = policy.rule_for(spec) {
        return Ok(rule);
    }
    let nearest = policy.containers.iter().map(|rule| differences(&rule.spec, spec)).min_by_key(Vec::len);
    match nearest {
        None => {
            bail!("the policy allows no container at all; write one with `sealpod policy generate`")
        }
        Some(lines) => bail!(
            "the policy does not allow this container. Against its nearest rule:\n  {}\nMake the command agree, or write another policy with `sealpod policy generate` and give it to the broker",
            lines.join("\n  ")
        ),
    }
}

fn differences(allowed: &ContainerSpec, asked: &ContainerSpec) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |what: &str, allowed: String, asked: String| {
        if allowed != asked {
            lines.push(format!("{what}: allowed {allowed}, asked for {asked}"));
        }
    };
    compare("image", allowed.image.to_string(), asked.image.to_string());
    compare("command", format!("{:?}", allowed.args), format!("{:?}", asked.args));
    compare("environment", format!("{:?}", allowed.env), format!("{:?}", asked.env));
    compare("working directory", allowed.working_dir.clone(), asked.working_dir.clone());
    compare("user", format!("{}:{}", allowed.uid, allowed.gid), format!("{}:{}", asked.uid, asked.gid));
    let secrets = |spec: &ContainerSpec| {
        let texts = spec.secrets.iter().map(|s| format!("{}=kbs:///{}:{}", s.name, s.resource, s.path));
        format!("{:?}", texts.collect::<Vec<_>>())
    };
    compare("secrets", secrets(allowed), secrets(asked));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What clap makes of these words after `sealpod run --image-dir i`.
    fn args(words: &[&str]) -> WorkloadArgs {
        use clap::Parser as _;
        let line = ["sealpod", "run", "--image-dir", "i"].iter().chain(words);
        match crate::cli::Cli::parse_from(line).command {
            crate::cli::Command::Run(run) => run.workload,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_command_line_leaves_out_is_the_policys() {
        let mut rule = ContainerRule {
            spec: ContainerSpec { args: vec!["/bin/app".into()], env: vec!["A=b".into()], uid: 7, ..spec() },
            allow_output: true,
            allow_input: false,
            allow_signals: false,
        };
        rule.spec.secrets = vec![input::secret("k=kbs:///a/b/c:/run/k").unwrap()];
        let mut policy = PodPolicy { kbs: None, containers: vec![rule.clone()] };
        let asked = || ContainerSpec { args: vec!["/bin/app".into()], ..spec() };
        assert_eq!(from_policy(&args(&["img"]), &policy, spec()).unwrap(), rule.spec);
        assert_eq!(from_policy(&args(&["img", "/bin/app"]), &policy, asked()).unwrap(), rule.spec);
        // What is said must be so.
        let other = from_policy(&args(&["img", "/bin/true"]), &policy, spec()).unwrap();
        assert_eq!(other, spec());
        let user = ContainerSpec { uid: 8, ..asked() };
        let chosen = from_policy(&args(&["--user", "8", "img"]), &policy, user.clone()).unwrap();
        assert_eq!(chosen, user);
        policy.containers.push(ContainerRule { spec: ContainerSpec { uid: 9, ..rule.spec.clone() }, ..rule });
        assert!(from_policy(&args(&["img"]), &policy, spec()).is_err());
    }

    fn spec() -> ContainerSpec {
        ContainerSpec {
            image: format!("sha256:{}", "11".repeat(32)).parse().unwrap(),
            args: vec!["/bin/true".into()],
            env: vec![],
            working_dir: "/".into(),
            uid: 0,
            gid: 0,
            secrets: vec![],
        }
    }

    #[test]
    fn a_container_that_is_not_allowed_is_compared_with_the_nearest_rule() {
        let rule_for =
            |spec| ContainerRule { spec, allow_output: false, allow_input: false, allow_signals: false };
        let far = ContainerSpec { args: vec!["x".into()], uid: 7, ..spec() };
        let policy = PodPolicy { kbs: None, containers: vec![rule_for(far), rule_for(spec())] };
        assert!(rule(&policy, &spec()).is_ok());
        let asked = ContainerSpec { args: vec!["/bin/false".into()], ..spec() };
        let error = rule(&policy, &asked).unwrap_err().to_string();
        assert!(error.contains(r#"command: allowed ["/bin/true"], asked for ["/bin/false"]"#), "{error}");
        assert!(!error.contains("user:"), "{error}");
    }
}
