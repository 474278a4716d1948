/** Whether a key press belongs to a text field, a choice or a control that uses it itself. */
export function isTyping(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  const target = event.target instanceof Element ? event.target : null;
  return target?.closest("input, textarea, select, audio, dialog, [contenteditable]") != null;
}
