//! Do the packages that exports are for open them? (`tests/exports.py`; where `FEDBENCH_PYTHON` names a Python that has them)

use std::path::Path;
use std::process::Command;

use crate::cli::Desk;

#[test]
fn other_tools_open_what_is_exported() {
    let (Ok(python), Ok(data)) = (std::env::var("FEDBENCH_PYTHON"), std::env::var("FEDBENCH_DATA")) else {
        eprintln!(
            "not run: FEDBENCH_PYTHON (with tensorboard, lm-eval, every_eval_ever, peft) and FEDBENCH_DATA (with easy-vqa) are not set"
        );
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports.py");
    let mut command = Command::new(python);
    command.arg(script).arg(env!("CARGO_BIN_EXE_fedbench")).arg(Path::new(&data).join("easy-vqa"));
    let output = command.output().expect("Python starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for tool in ["tensorboard:", "lm-eval:", "every-eval-ever:", "peft:"] {
        assert!(said.contains(tool), "{said}");
    }
}

/// What cannot be exported is said: another kind of adapters to PEFT, a format that there is not.
#[test]
fn what_cannot_be_exported_is_said() {
    let desk = Desk::new();
    desk.write("x.toml", crate::cli::MINIMAL);
    desk.expect(&["run", "x.toml", "--set", "federation.rounds=1", "--out", "runs", "--quiet"], 0, &[]);
    desk.expect(&["export", "runs", "--as", "peft", "--out", "peft"], 2, &["adapters are of kind `nano`", "expected `lora`"]);
    desk.expect(
        &["export", "runs", "--as", "tensorbord", "--out", "x"],
        2,
        &["unknown export format `tensorbord`", "tensorboard"],
    );
    desk.expect(
        &["export", "runs", "--as", "tensorboard,lm-eval", "--out", "made"],
        0,
        &["tensorboard: 1 files", "lm-eval: 2 files"],
    );
    desk.expect(&["export", "runs", "--as", "lm-eval", "--out", "runs"], 2, &[]);
}
