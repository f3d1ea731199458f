//! The state of a stage's CloudFormation stack, and whether a deployment can begin in it.

use crate::deployment::stack_name;

/// Something that a deployment cannot mend, or that must be mended before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// What is wrong.
    pub what: String,
    /// The command, or what else a person does about it.
    pub mend: String,
}

/// What stands against a deployment in a state of the stack; `None` if nothing does.
pub fn hindrance(stage: &str, status: &str) -> Option<Hindrance> {
    let name = stack_name(stage);
    let aws = |operation: &str| format!("aws cloudformation {operation} --stack-name {name}");
    let (what, mend) = match status {
        // SAM leaves it so when somebody did not confirm its first change set.
        "REVIEW_IN_PROGRESS" => return None,
        "CREATE_IN_PROGRESS" => ("it is being created".to_owned(), aws("wait stack-create-complete")),
        "DELETE_IN_PROGRESS" => ("it is being deleted".to_owned(), aws("wait stack-delete-complete")),
        "ROLLBACK_IN_PROGRESS" | "UPDATE_ROLLBACK_IN_PROGRESS" | "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => {
            ("a deployment failed, and is being rolled back".to_owned(), aws("wait stack-rollback-complete"))
        }
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => (
            format!(
                "its first deployment failed, or its removal did ({}), and no deployment mends that: it must be deleted. Ledger \
                 and bucket, if they were made, stay, and are in nobody's way",
                aws("describe-stack-events")
            ),
            aws("delete-stack"),
        ),
        "UPDATE_ROLLBACK_FAILED" => (
            format!("a deployment failed, and so did its roll-back ({} says why)", aws("describe-stack-events")),
            aws("continue-update-rollback"),
        ),
        "UPDATE_FAILED" => ("a deployment failed, and was not to be rolled back".to_owned(), aws("rollback-stack")),
        _ if status.ends_with("_IN_PROGRESS") => {
            ("another deployment is running".to_owned(), aws("wait stack-update-complete"))
        }
        _ if status.ends_with("_FAILED") => ("what was done last failed".to_owned(), aws("describe-stack-events")),
        _ => return None,
    };
    Some(Hindrance { what: format!("the stack {name} is {status}: {what}"), mend })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_no_deployment_mends_is_named_with_the_command_that_does() {
        let mend = |status| hindrance("staging", status).map(|hindrance| hindrance.mend);
        for status in
            ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "REVIEW_IN_PROGRESS"]
        {
            assert_eq!(mend(status), None, "{status}");
        }
        let cases = [
            ("ROLLBACK_COMPLETE", "delete-stack"),
            ("CREATE_FAILED", "delete-stack"),
            ("ROLLBACK_FAILED", "delete-stack"),
            ("DELETE_FAILED", "delete-stack"),
            ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
            ("UPDATE_FAILED", "rollback-stack"),
            ("CREATE_IN_PROGRESS", "wait stack-create-complete"),
            ("UPDATE_IN_PROGRESS", "wait stack-update-complete"),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "wait stack-update-complete"),
            ("UPDATE_ROLLBACK_IN_PROGRESS", "wait stack-rollback-complete"),
            ("ROLLBACK_IN_PROGRESS", "wait stack-rollback-complete"),
            ("DELETE_IN_PROGRESS", "wait stack-delete-complete"),
            ("IMPORT_ROLLBACK_FAILED", "describe-stack-events"),
        ];
        for (status, operation) in cases {
            assert_eq!(
                mend(status),
                Some(format!("aws cloudformation {operation} --stack-name wharf-staging")),
                "{status}"
            );
        }
    }
}
