// A clock that a hidden tab does not slow down to one tick a minute: pings and deadlines depend on it.

setInterval(() => postMessage(0), 250);
