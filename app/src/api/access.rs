use voltaxe_orchestrator::authority::Action;

/// Who may call a server function at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    Public,
    SignedIn,
    Action(Action),
}

/// Every server function of the dashboard. One that is not here is refused.
pub const SERVER_FUNCTIONS: &[(&str, Access)] = &[
    ("/rpc/sign_in", Access::Public),
    ("/rpc/complete_setup", Access::Public),
    ("/rpc/sign_out", Access::SignedIn),
    ("/rpc/session", Access::SignedIn),
    ("/rpc/endpoints", Access::Action(Action::View)),
    ("/rpc/endpoint", Access::Action(Action::View)),
    ("/rpc/find_hosts", Access::Action(Action::View)),
    ("/rpc/endpoint_log", Access::Action(Action::View)),
    ("/rpc/series", Access::Action(Action::View)),
    ("/rpc/annotate", Access::Action(Action::AnnotateEndpoint)),
    ("/rpc/count_endpoints", Access::Action(Action::View)),
    ("/rpc/loads", Access::Action(Action::View)),
    ("/rpc/resolve_choice", Access::Action(Action::View)),
    ("/rpc/bulk_order", Access::Action(Action::CheckAgent)),
    ("/rpc/saved_views", Access::Action(Action::View)),
    ("/rpc/save_view", Access::Action(Action::View)),
    ("/rpc/delete_view", Access::Action(Action::View)),
    ("/rpc/batch_hosts", Access::Action(Action::View)),
    ("/rpc/commands", Access::Action(Action::View)),
    ("/rpc/command_page", Access::Action(Action::View)),
    // One's own password and sessions are everybody's; for the rest the orchestrator asks for the role.
    ("/rpc/operate", Access::SignedIn),
    // The least of what may be ordered; the orchestrator asks for the order's own.
    ("/rpc/order", Access::Action(Action::CheckAgent)),
    ("/rpc/respond", Access::Action(Action::CheckAgent)),
    // What runs on hosts and what was collected from them has roles of its own, which the orchestrator asks for.
    ("/rpc/sheet", Access::Action(Action::View)),
    ("/rpc/retry_command", Access::Action(Action::CheckAgent)),
    ("/rpc/cancel_command", Access::Action(Action::CancelCommand)),
    ("/rpc/batches", Access::Action(Action::View)),
    ("/rpc/batch", Access::Action(Action::View)),
    ("/rpc/batch_progress", Access::Action(Action::View)),
    ("/rpc/cancel_batch", Access::Action(Action::CancelCommand)),
    ("/rpc/undo_batch", Access::Action(Action::Restore)),
    ("/rpc/schedules", Access::Action(Action::View)),
    ("/rpc/older_schedules", Access::Action(Action::View)),
    ("/rpc/create_schedule", Access::Action(Action::CheckAgent)),
    ("/rpc/cancel_schedule", Access::Action(Action::CancelCommand)),
    ("/rpc/rollback_of", Access::Action(Action::View)),
    ("/rpc/extend_rollback", Access::Action(Action::Isolate)),
    ("/rpc/preview_cron", Access::Action(Action::View)),
    // Tokens are listed for those who may create them.
    ("/rpc/enrolment", Access::Action(Action::View)),
    ("/rpc/api_tokens", Access::Action(Action::ManageApiTokens)),
    ("/rpc/create_api_token", Access::Action(Action::ManageApiTokens)),
    ("/rpc/revoke_api_token", Access::Action(Action::ManageApiTokens)),
    ("/rpc/create_enrolment_token", Access::Action(Action::CreateEnrolmentToken)),
    ("/rpc/revoke_enrolment_token", Access::Action(Action::CreateEnrolmentToken)),
    ("/rpc/approve_endpoint", Access::Action(Action::ApproveEndpoint)),
    ("/rpc/webhooks", Access::Action(Action::ManageWebhooks)),
    ("/rpc/webhook_deliveries", Access::Action(Action::ManageWebhooks)),
    ("/rpc/change_webhook", Access::Action(Action::ManageWebhooks)),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use leptos::server_fn::axum::server_fn_paths;

    use super::*;

    #[test]
    fn the_table_names_every_server_function() {
        let registered: BTreeSet<_> = server_fn_paths().map(|(path, _)| path).collect();
        let listed: BTreeSet<_> = SERVER_FUNCTIONS.iter().map(|(path, _)| *path).collect();
        assert_eq!(registered, listed);
    }

    #[test]
    fn every_server_function_is_called_by_post() {
        for (path, method) in server_fn_paths() {
            assert_eq!(method, axum::http::Method::POST, "{path}");
        }
    }
}
