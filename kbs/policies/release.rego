# Who gets a secret. Input: the claims of the attestation token. Data: the resource asked for.
#
# This is the policy that `sealpod-kbs init` installs. A pod gets a secret when all of this holds:
#   - its evidence is affirmed in every respect;
#   - its vTPM is vouched for by its own TEE;
#   - a container that it has started (and recorded in PCR 13) names this secret in the owner's initdata.
# Which initdata there are is said by the Reference Values: a pod whose initdata is not among them does not attest at all.
# Change a copy and install it with `sealpod-kbs policy set FILE`.
package policy

import rego.v1

default allow := false

allow if {
	data.plugin == "resource"
	pod := input.submods.cpu0
	pod["ear.status"] == "affirming"
	every _, value in pod["ear.trustworthiness-vector"] {
		value >= 2
		value <= 31
	}
	evidence := pod["ear.veraison.annotated-evidence"]
	evidence.sealpod.binding_level in {"svsm", "paravisor"}
	some container in evidence.containers
	some secret in container.secrets
	secret.resource == concat("/", data["resource-path"])
}
