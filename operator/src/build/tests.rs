//! The objects of the samples, against golden files, and what must hold for all objects.
//! `THALWEG_UPDATE=1` writes the golden files.

use serde_json::Value;
use thalweg_core::configuration::Configuration;

use super::{Identity, Revision, Turn, application_objects, revision_name, superfluous};
use crate::pod_template::violations;
use crate::resource::tests::{application, root};
use crate::resource::{FlinkApplicationSpec, NAME_LENGTH_MAX};

const SAMPLES: [&str; 3] = ["minimal", "fraud-detection", "personalisation"];

fn identity(name: &str) -> Identity {
    let uid = "5c0ffee0-0000-4000-8000-000000000001".to_owned();
    Identity { namespace: "shop".to_owned(), name: name.to_owned(), uid }
}

fn spec(sample: &str) -> FlinkApplicationSpec {
    application(&format!("{sample}.yaml")).spec
}

fn objects(identity: &Identity, spec: &FlinkApplicationSpec) -> Vec<Value> {
    let revision = Revision::render(identity, spec, &identity.name, None).expect("a revision");
    let name = revision.name.as_str();
    let references = revision.references().expect("a template");
    let turn = Turn { leading: Some(name), preparing: None };
    let mut objects =
        application_objects(identity, spec, turn, &[name], &references).expect("objects");
    objects.push(revision.record(identity, 1).expect("a record"));
    objects.extend(revision.objects(identity, spec.job_manager.replicas).expect("objects"));
    objects
}

#[test]
fn the_objects_of_the_samples_are_the_golden_ones() {
    for sample in SAMPLES {
        let made = objects(&identity(sample), &spec(sample));
        let documents = made.into_iter().map(|object| {
            let sorted = crate::resource::definition::sorted(object);
            format!("---\n{}", serde_yaml::to_string(&sorted).expect("YAML"))
        });
        let made: String = documents.collect();
        let path = root().join(format!("operator/src/build/golden/{sample}.yaml"));
        if std::env::var_os("THALWEG_UPDATE").is_some() {
            std::fs::write(&path, &made).expect("writable");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == made,
            "{sample}: other objects than the golden ones; if that is meant: THALWEG_UPDATE=1 \
             cargo test -p thalweg-operator golden\n{made}"
        );
    }
}

#[test]
fn every_pod_passes_restricted_and_only_job_managers_have_a_token() {
    for sample in SAMPLES {
        let [job_manager, task_manager] =
            Revision::templates(&identity(sample), "r", &spec(sample)).expect("templates");
        assert_eq!(violations(&job_manager), Vec::<String>::new(), "{sample}");
        assert_eq!(violations(&task_manager), Vec::<String>::new(), "{sample}");
        let job_manager = job_manager.spec.expect("a spec");
        let task_manager = task_manager.spec.expect("a spec");
        assert_eq!(job_manager.automount_service_account_token, Some(true));
        assert_eq!(task_manager.automount_service_account_token, Some(false));
        assert_eq!(task_manager.restart_policy.as_deref(), Some("Never"));
        assert_eq!(job_manager.containers[0].name, "jobmanager");
        assert_eq!(task_manager.containers[0].name, "taskmanager");
    }
}

#[test]
fn each_roles_pods_mount_its_own_certificate_as_a_folder_and_a_check_mounts_none() {
    for sample in SAMPLES {
        let (identity, spec) = (identity(sample), spec(sample));
        let templates = Revision::templates(&identity, "r", &spec).expect("templates");
        for (template, role) in templates.into_iter().zip(["jobmanager", "taskmanager"]) {
            let pod = template.spec.expect("a spec");
            let secrets = pod.volumes.iter().flatten().filter_map(|volume| volume.secret.as_ref());
            let names: Vec<_> = secrets.filter_map(|secret| secret.secret_name.clone()).collect();
            let own = format!("{sample}-{role}-tls");
            assert!(names.contains(&own), "{names:?}");
            let others = names.iter().filter(|name| **name != own);
            assert!(others.clone().all(|name| !name.starts_with(sample)), "{names:?}");
            let mounts = pod.containers[0].volume_mounts.iter().flatten();
            let mounts: Vec<_> =
                mounts.filter(|mount| mount.mount_path == "/etc/thalweg-tls").collect();
            assert_eq!(mounts.len(), 1);
            assert_eq!((mounts[0].read_only, &mounts[0].sub_path), (Some(true), &None));
        }
        let revision = Revision::render(&identity, &spec, sample, None).expect("a revision");
        let [_, check] = revision.preflight(&identity, "s3://b/chk-1").expect("a pod");
        assert!(!check.to_string().contains("-tls"), "{check}");
        let settings = super::task_manager_configuration(&identity, "r", &spec);
        assert_eq!(settings["security.ssl.internal.directory"], "/etc/thalweg-tls");
    }
}

#[test]
fn the_longest_name_leads_to_names_within_63_characters() {
    let longest = identity(&"a".repeat(NAME_LENGTH_MAX));
    for object in objects(&longest, &spec("personalisation")) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        assert!(name.len() <= 63, "{}: {name}", object["kind"]);
        let labels = object["metadata"]["labels"].as_object().expect("labels");
        assert!(labels.values().all(|value| value.as_str().expect("a text").len() <= 63));
    }
}

#[test]
fn a_task_manager_knows_how_long_it_has_between_sigterm_and_its_end() {
    use thalweg_core::configuration::options::taskmanager::TERMINATION_GRACE_PERIOD;
    let grace = |spec: &FlinkApplicationSpec| {
        let revision = Revision::render(&identity("a"), spec, "a", None).expect("a revision");
        ["jobmanager.yaml", "taskmanager.yaml"].map(|file| {
            let settings = Configuration::from_yaml(&revision.files[file], file);
            settings.expect("settings").get(&TERMINATION_GRACE_PERIOD).as_secs()
        })
    };
    let mut spec = spec("minimal");
    assert_eq!(grace(&spec), [120, 120], "the engine's own is that of the template");
    let template = serde_json::json!({"spec": {"terminationGracePeriodSeconds": 300}});
    spec.task_manager.pod_template = serde_json::from_value(template).expect("a template");
    assert_eq!(grace(&spec), [300, 300]);
}

#[test]
fn every_object_belongs_to_the_resource_and_says_what_it_is() {
    for object in objects(&identity("minimal"), &spec("minimal")) {
        let owner = &object["metadata"]["ownerReferences"][0];
        assert_eq!(owner["kind"], "FlinkApplication", "{object}");
        assert_eq!(owner["controller"], true, "{object}");
        assert!(object["kind"].is_string() && object["apiVersion"].is_string(), "{object}");
        assert_eq!(object["metadata"]["labels"]["thalweg.dev/application"], "minimal", "{object}");
        assert!(object.get("status").is_none(), "{object}");
    }
}

#[test]
fn the_engine_knows_every_setting() {
    let mut specs: Vec<FlinkApplicationSpec> = SAMPLES.iter().map(|name| spec(name)).collect();
    for strategy in ["Fixed", "Rate", "None"] {
        let mut other = spec("personalisation");
        other.job.restart_strategy.r#type =
            serde_json::from_value(strategy.into()).expect("a strategy");
        other.job.restart_strategy.max_attempts = Some(3);
        other.state.checkpoints.min_pause_seconds = Some(5);
        specs.push(other);
    }
    for spec in specs {
        let identity = identity("minimal");
        let revision = Revision::render(&identity, &spec, "minimal", None).expect("a revision");
        for file in ["jobmanager.yaml", "taskmanager.yaml"] {
            let yaml = &revision.files[file];
            if let Err(error) = Configuration::from_yaml(yaml, file) {
                panic!("{file}: {error}\n{yaml}");
            }
        }
    }
}

#[test]
fn a_revision_is_named_by_what_forms_it_and_kept_as_it_was_rendered() {
    let spec = spec("personalisation");
    let name = |spec: &FlinkApplicationSpec| revision_name("a", spec, "a").expect("a name");
    let mut scaled = spec.clone();
    scaled.job.parallelism = 16;
    scaled.job_manager.replicas = 3;
    scaled.suspend = true;
    assert_eq!(name(&spec), name(&scaled));
    let mut changed = spec.clone();
    changed.image = "other".to_owned();
    assert_ne!(name(&spec), name(&changed));
    // The name is part of what clusters hold: it never changes for a given spec.
    assert_eq!(name(&crate::resource::tests::application("minimal.yaml").spec), "a-7aa41c7f0d");

    let identity = identity("personalisation");
    let revision = Revision::render(&identity, &spec, "personalisation", Some("s3://b/c"))
        .expect("a revision");
    assert!(revision.files["jobmanager.yaml"].contains("state-recovery.path: s3://b/c"));
    let record = revision.record(&identity, 7).expect("a record");
    let read = Revision::from_record(record["data"].clone()).expect("a revision");
    assert_eq!(read, revision);
    // What is applied comes from the record, so another renderer leaves it alone.
    let mut foreign = record["data"].clone();
    foreign["jobManager"]["spec"]["containers"][0]["args"] = serde_json::json!(["as it was"]);
    foreign["files"]["jobmanager.yaml"] = "as it was".into();
    let [configuration, deployment] =
        Revision::from_record(foreign).expect("a revision").objects(&identity, 1).expect("objects");
    assert_eq!(configuration["data"]["jobmanager.yaml"], "as it was");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"][0], "as it was");
}

#[test]
fn a_check_runs_the_new_program_with_the_jobs_arguments_and_without_a_token() {
    let identity = identity("fraud-detection");
    let mut spec = spec("fraud-detection");
    spec.job.allow_non_restored_state = true;
    let revision = Revision::render(&identity, &spec, "a", None).expect("a revision");
    let [configuration, pod] = revision.preflight(&identity, "s3://b/7").expect("objects");
    let name = pod["metadata"]["name"].as_str().expect("a name");
    assert!(name.ends_with("-check") && name.len() <= 63);
    // The revision's own can't be changed, and may be rendered otherwise when it starts.
    assert_eq!(
        (&configuration["kind"], &configuration["metadata"]["name"]),
        (&"ConfigMap".into(), &name.into())
    );
    assert_ne!(configuration["immutable"], true);
    let mut sources = pod["spec"]["volumes"].as_array().expect("volumes").iter();
    let sources: Vec<_> =
        sources.by_ref().filter_map(|each| each["configMap"]["name"].as_str()).collect();
    assert_eq!(sources, [name]);
    assert_eq!(pod["metadata"]["labels"]["app.kubernetes.io/component"], "preflight");
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!(pod["spec"]["restartPolicy"], "Never");
    let container = &pod["spec"]["containers"][0];
    let args: Vec<&str> =
        container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    let path = ["check", "--from-savepoint", "s3://b/7", "--or-newer", "--config"];
    assert_eq!(args[..5], path);
    assert_eq!(args[6..8], ["--allow-non-restored-state", "--"]);
    assert_eq!(args[8..], spec.job.binary.args);
    let template = serde_json::json!({ "spec": pod["spec"] });
    let template = serde_json::from_value(template).expect("a template");
    assert_eq!(violations(&template), Vec::<String>::new());
}

#[test]
fn state_is_deleted_by_the_applications_image_at_each_place_without_a_token() {
    let (identity, spec) = (identity("fraud-detection"), spec("fraud-detection"));
    let revision = Revision::render(&identity, &spec, "a", None).expect("a revision");
    let places = ["s3://a/b".to_owned(), "s3://c/d".to_owned()];
    let objects = revision.erasure(&identity, &places, "a-x", 300).expect("objects");
    let [configuration, pod] = objects;
    assert_eq!(configuration["kind"], "ConfigMap");
    let name = pod["metadata"]["name"].as_str().expect("a name");
    assert!(name.len() - identity.name.len() + 45 <= 63, "{name}");
    assert_eq!(pod["metadata"]["labels"]["app.kubernetes.io/component"], "state-deletion");
    assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], identity.uid.as_str());
    let spec = &pod["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(
        (&spec["restartPolicy"], &spec["activeDeadlineSeconds"]),
        (&"OnFailure".into(), &300.into(),)
    );
    let container = &spec["containers"][0];
    let args: Vec<&str> =
        container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    assert_eq!(args[..4], ["state", "delete", "s3://a/b", "s3://c/d"]);
    let own = ["--stopped", "--owner", identity.uid.as_str(), "--successor", "a-x", "--config"];
    assert_eq!(args[4..10], own);
    assert!(container["env"].as_array().is_some_and(|env| !env.is_empty()), "its keys to S3");
    let template = serde_json::json!({ "spec": spec });
    let template = serde_json::from_value(template).expect("a template");
    assert_eq!(violations(&template), Vec::<String>::new());
}

#[test]
fn what_a_spec_no_longer_asks_for_is_named() {
    let identity = identity("a");
    let mut spec = spec("personalisation");
    assert_eq!(superfluous(&identity, &spec), []);
    spec.network_policy.enabled = false;
    spec.job_manager.replicas = 1;
    let names: Vec<String> = superfluous(&identity, &spec)
        .into_iter()
        .map(|(kind, name)| format!("{kind}/{name}"))
        .collect();
    assert_eq!(
        names,
        [
            "NetworkPolicy/a-jobmanager",
            "NetworkPolicy/a-taskmanager",
            "PodDisruptionBudget/a-jobmanager"
        ]
    );
}

#[test]
fn arguments_and_variables_reach_the_application_as_they_were_written() {
    let mut spec = spec("fraud-detection");
    spec.job.binary.args = vec!["$(POD_IP)".to_owned(), "a$$b".to_owned()];
    let [job_manager, task_manager] =
        Revision::templates(&identity("a"), "r", &spec).expect("templates");
    let args = |template: k8s_openapi::api::core::v1::PodTemplateSpec| {
        template.spec.expect("a spec").containers.remove(0).args.expect("arguments")
    };
    // Kubernetes makes one dollar sign of two, and expands nothing then.
    let of_application = args(job_manager);
    let begin = of_application.iter().position(|argument| argument == "--").expect("arguments");
    assert_eq!(of_application[begin..], ["--", "$$(POD_IP)", "a$$$$b"]);
    // TaskManagers get them with their tasks.
    assert!(!args(task_manager).contains(&"--".to_owned()));
}
