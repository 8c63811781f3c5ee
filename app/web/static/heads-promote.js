export function startPromotion(head) { console.log(head); }
