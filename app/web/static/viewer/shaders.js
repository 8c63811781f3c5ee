/** What the graphics processor runs: a rectangle of the scan, each pixel read, equalised, windowed and coloured. */

export const VERTEX = `#version 300 es
uniform vec4 u_area;   // of the scan: x0, y0, x1, y1
uniform vec3 u_view;   // middle of the screen in the scan, zoom
uniform vec2 u_screen; // pixels
out highp vec2 v_scan;
void main() {
  v_scan = mix(u_area.xy, u_area.zw, vec2(gl_VertexID & 1, gl_VertexID >> 1));
  gl_Position = vec4((v_scan - u_view.xy) * u_view.z / (u_screen * 0.5) * vec2(1, -1), 0, 1);
}`;

/**
 * deep: samples of 16 bits, which no processor mixes by itself: four are read and mixed here.
 * colour: RGB. equal: with the tables of the equaliser.
 */
export const fragment = ({ deep, colour, equal }) => `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
in highp vec2 v_scan;
out vec4 colour;
uniform ${deep ? "usampler2D" : "sampler2D"} u_pixels;
uniform sampler2D u_colours;
uniform float u_scale;   // pixels of the scan for one of the level
uniform vec2 u_level;    // size of the level
uniform vec2 u_texture;  // size of the texture, in which a large level lies rolled up
uniform bool u_squares;  // pixels as they are, not mixed with their neighbours
uniform vec2 u_window;   // low, 1 / (high - low)
uniform bool u_plain;    // the colours of the file
${equal ? "uniform sampler2D u_tables; uniform vec2 u_frame; uniform vec2 u_grid; uniform vec3 u_bins;" : ""}

${deep ? `
float texel(ivec2 at) {
  at = clamp(at, ivec2(0), ivec2(u_level) - 1) % ivec2(u_texture);
  return float(texelFetch(u_pixels, at, 0).r) / 65535.0;
}
float read(vec2 at) {
  if (u_squares) return texel(ivec2(floor(at)));
  vec2 corner = floor(at - 0.5), share = at - 0.5 - corner;
  ivec2 c = ivec2(corner);
  return mix(mix(texel(c), texel(c + ivec2(1, 0)), share.x),
             mix(texel(c + ivec2(0, 1)), texel(c + ivec2(1, 1)), share.x), share.y);
}` : `
vec4 read(vec2 at) {
  if (u_squares) return texelFetch(u_pixels, clamp(ivec2(floor(at)), ivec2(0), ivec2(u_level) - 1) % ivec2(u_texture), 0);
  return texture(u_pixels, clamp(at, vec2(0.5), u_level - 0.5) / u_texture);
}`}

${equal ? `
float table(vec2 cell, float value) {
  vec2 c = clamp(cell, vec2(0), u_grid - 1.0);
  return texture(u_tables, vec2(value, (c.y * u_grid.x + c.x + 0.5) / (u_grid.x * u_grid.y))).r;
}
float equalised(float value) {
  float place = clamp((value - u_bins.y) * u_bins.z, 0.0, 1.0);
  place = (place * (u_bins.x - 1.0) + 0.5) / u_bins.x;
  vec2 at = v_scan / u_frame * u_grid - 0.5, cell = floor(at), share = at - cell;
  return mix(mix(table(cell, place), table(cell + vec2(1, 0), place), share.x),
             mix(table(cell + vec2(0, 1), place), table(cell + vec2(1, 1), place), share.x), share.y);
}` : ""}

vec3 shown(float value) {
  float share = clamp((value - u_window.x) * u_window.y, 0.0, 1.0);
  return texelFetch(u_colours, ivec2(share * 1023.0 + 0.5, 0), 0).rgb;
}

void main() {
${colour ? `
  vec3 value = read(v_scan / u_scale).rgb;
  float light = dot(value, vec3(0.299, 0.587, 0.114));
${equal ? `
  float better = equalised(light);
  value *= better / max(light, 0.004);
  light = better;` : ""}
  colour = vec4(u_plain ? vec3(shown(value.r).r, shown(value.g).g, shown(value.b).b) : shown(light), 1);
` : `
  float value = read(v_scan / u_scale)${deep ? "" : ".r"};
  colour = vec4(shown(${equal ? "equalised(value)" : "value"}), 1);
`}
}`;
