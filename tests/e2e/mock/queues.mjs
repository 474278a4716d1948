// Priority and message of queues: what the file says, and what was changed.

const FILE = [
  { name: "billing", priority: 0, message: "" },
  { name: "orders", priority: 10, message: "Parcels are a day late in the north. Nothing is lost." },
  { name: "returns", priority: 0, message: "" },
];
const kept = new Map();

function inForce() {
  return FILE.map(({ name, priority, message }) => ({
    name,
    priority,
    message,
    is_changed: false,
    configured_priority: priority,
    configured_message: message,
    ...kept.get(name),
  }));
}

/** Answers what is asked about queues; false when it is something else. */
export async function queues({ request, response, route, path, user, bodyOf, json, problem }) {
  if (route === "GET /api/v1/queues") return json(response, 200, inForce());
  if (!path.startsWith("/api/v1/queues/")) return false;
  const name = decodeURIComponent(path.slice(15));
  if (request.method === "DELETE") {
    kept.delete(name);
    return json(response, 200, inForce());
  }
  const { priority, message } = await bodyOf(request);
  if (priority < -100 || priority > 100) {
    return problem(response, 400, "bad_request", "A priority is -100 to 100.", { reason: "queue_priority", values: { least: "-100", most: "100" } });
  }
  kept.set(name, { priority, message: message.trim(), is_changed: true, changed_by: user.id, changed_at: new Date().toISOString() });
  json(response, 200, inForce());
}
